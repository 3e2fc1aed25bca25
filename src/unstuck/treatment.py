"""`treat`: cure the root cause, examine again, and so on until it is well or nothing helps."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from unstuck.budget import RUN_SHARE
from unstuck.diagnosis import Diagnosing, checked
from unstuck.errors import RemedyError, UnstuckError
from unstuck.judgement import chosen_rules
from unstuck.languages import current, use
from unstuck.loop import fit
from unstuck.measure.comparison import LARGE
from unstuck.progress import Listener, nobody
from unstuck.report import Applies, Finding, Report, Status
from unstuck.setup import Setup
from unstuck.trials import apply_remedy

MOST_STEPS: Final = 4
"""Causes treated in a row at most; real programs hold one to three (median 2 in the collections of faults)."""

LEAST_SECONDS: Final = 1.0
"""With less than this left nothing more is examined."""


ROUND_SHARE: Final = 0.5
"""Share of the budget that one round may take, so that what was treated can be examined again."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Cure:
    """What treatment came to.

    Attributes:
        setup: The cured set-up; `unstuck.fit` trains it, and its model takes the raw inputs.
        steps: The report of each round; the last is the re-examination, unless the time was up or Ctrl-C ended it.
        before: Validation losses per epoch of the set-up as given, or its training losses where there are none; empty
            where it cannot be trained, and after Ctrl-C.
        after: Likewise of the cured set-up.
        sentence: What was done, in one sentence.
    """

    setup: Setup
    steps: tuple[Report, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    sentence: str

    def __str__(self) -> str:
        """What was done, as plain text, 80 columns, no colour."""
        from unstuck.render.cure import plain_cure  # rendering knows records, not the other way round

        return plain_cure(self)

    def _repr_html_(self) -> str:
        """The same for a notebook: the whole page in a frame of its own, shut off from the notebook."""
        from unstuck.render.html import framed_cure

        return framed_cure(self)

    def save(self, path: str | Path, language: str | None = None) -> None:
        """Write what was done in each round; the ending of `path` chooses the form.

        Args:
            path: As for `Report.save`.
            language: Likewise.

        Raises:
            ValueError: If `Report.save` would refuse either.
        """
        from unstuck.render.cure_forms import save_cure

        with use(current() if language is None else language):
            save_cure(self, path)


def treat(setup: Setup, *, budget: float | str = 120.0, opt_in: bool = True, progress: Listener = nobody) -> Cure:
    """Treat the root cause, examine again, and repeat.

    Args:
        setup: What to cure.
        budget: Seconds for all rounds together, or "3x" for so many runs per round.
        opt_in: Whether remedies that change what the network computes may be applied too.
        progress: Told what is being done.

    Returns:
        The cure. Where nothing helps its set-up is the one given.

    Raises:
        SetupError: If `setup` is none.
        ValueError: If the budget is neither a positive number nor of the form "3x".
    """
    start = time.monotonic()
    present, reports, done = setup, list[Report](), list[str]()
    left: float | str = budget
    while True:
        share = left
        if isinstance(budget, (int, float)) and isinstance(left, (int, float)) and not isinstance(budget, bool):
            share = min(left, ROUND_SHARE * budget)
        round_ = Diagnosing(checked(present), share, chosen_rules(None), progress)
        report = round_.run()
        reports.append(report)
        changed = None if len(done) == MOST_STEPS else _cured(round_, report, opt_in)
        if changed is None:
            break
        names, present = changed
        done += names
        if not isinstance(budget, str):
            left = budget - (time.monotonic() - start)
        if round_.interrupted or (not isinstance(left, str) and left < LEAST_SECONDS):
            break
    sentence = _sentence(done, reports[-1], examined=changed is None)
    before, after = ((), ()) if round_.interrupted else _courses(setup, present, budget)
    return Cure(present, tuple(reports), before, after, sentence)


def _cured(round_: Diagnosing, report: Report, opt_in: bool) -> tuple[list[str], Setup] | None:
    """What is treated and the set-up without it, where it is proven and its remedy may be applied."""
    cause = _root_cause(report)
    if cause is None or cause.rule.code not in round_.cures:
        return None
    tried = round_.cures[cause.rule.code]
    if not tried.path:  # its trial could not be run
        return None
    if cause.applies is Applies.ADVICE or (cause.applies is Applies.OPT_IN and not opt_in):
        return None
    rules = {rule.code: rule for rule in round_.rules}
    setup = round_.setup  # the trial changed one with some samples held out; the cure changes the one that was given
    try:
        for code, index in tried.path:
            measured = tried.measured.get(code, round_.examination)
            setup = apply_remedy(rules[code], measured, setup)[index]
    except (RemedyError, IndexError):  # it applies only to what the trial trained
        return None
    first, *others = (rules[code].name for code, _ in tried.path)
    for name in others:
        first = f"{first} together with {name}"
    return [first], setup


def _root_cause(report: Report) -> Finding | None:
    """The first proven cause whose remedy did no harm: what is wrong can be certain, and the remedy unfit."""
    proven = [finding for finding in report.findings if finding.status is Status.CONFIRMED]
    return next((f for f in proven if f.trial is None or not f.trial.gain.value <= -LARGE.value), None)


def _courses(given: Setup, cured: Setup, budget: float | str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Losses per epoch of both, as far as the time that one run may take; empty where it cannot be trained."""
    seconds = None if isinstance(budget, str) else RUN_SHARE * budget
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the user's code warns of, it warns of in every run
            before = _course(given, seconds)
            return before, before if cured is given else _course(cured, seconds)
    except UnstuckError:  # the report says so
        return (), ()
    except KeyboardInterrupt:  # what was found is worth more than its curves
        return (), ()


def _course(setup: Setup, seconds: float | None) -> tuple[float, ...]:
    run = fit(setup, seconds=seconds)
    return run.validation_losses or run.record.epoch_losses()


def _sentence(done: list[str], last: Report, examined: bool) -> str:
    if not done:
        return f"Nothing was changed. {last.sentence}"
    treated = f"Treated {', then '.join(done)}."
    if not examined:
        return f"{treated} It was not examined again, for want of time. The last examination found: {last.sentence}"
    return f"{treated} Examined again: {last.sentence}"
