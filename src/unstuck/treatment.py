"""`treat`: cure the root cause, examine again, and so on until it is well or nothing helps."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final, final

from unstuck.diagnosis import Diagnosing
from unstuck.judgement import chosen_rules
from unstuck.loop import fit
from unstuck.progress import Listener, nobody
from unstuck.report import Applies, Finding, Report, Status
from unstuck.setup import Setup
from unstuck.trials import apply_remedy

MOST_STEPS: Final = 4
"""Causes treated in a row at most; real programs hold one to three (median 2 in the collections of faults)."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Cure:
    """What treatment came to.

    Attributes:
        setup: The cured set-up; `unstuck.fit` trains it, and its model takes the raw inputs.
        steps: The report of each round; the last is the re-examination.
        before: Validation losses per epoch of the set-up as given, or its training losses where there are none.
        after: Likewise of the cured set-up.
        sentence: What was done, in one sentence.
    """

    setup: Setup
    steps: tuple[Report, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    sentence: str


def treat(setup: Setup, *, budget: float | str = 120.0, opt_in: bool = True, progress: Listener = nobody) -> Cure:
    """Treat the root cause, examine again, and repeat.

    Args:
        setup: What to cure.
        budget: Seconds for all rounds together, or "3x" for so many runs per round.
        opt_in: Whether remedies that change what the network computes may be applied too.
        progress: Told what is being done.

    Returns:
        The cure. Where nothing helps its set-up is the one given.
    """
    start = time.monotonic()
    present, reports, done = setup, [], list[str]()
    left: float | str = budget
    for _ in range(MOST_STEPS):
        round_ = Diagnosing(present, left, chosen_rules(None), progress)
        report = round_.run()
        reports.append(report)
        changed = _cured(round_, report, opt_in)
        if changed is None:
            break
        finding, present = changed
        done.append(finding.rule.name)
        if not isinstance(budget, str):
            left = budget - (time.monotonic() - start)
            if left < 1.0:
                break
    return Cure(present, tuple(reports), _course(setup), _course(present), _sentence(done, reports[-1]))


def _cured(round_: Diagnosing, report: Report, opt_in: bool) -> tuple[Finding, Setup] | None:
    """The root cause and the set-up without it, where it is proven and its remedy may be applied."""
    cause = report.cause
    if cause is None or cause.status is not Status.CONFIRMED or cause.rule.code not in round_.cures:
        return None
    if cause.applies is Applies.ADVICE or (cause.applies is Applies.OPT_IN and not opt_in):
        return None
    rules = {rule.code: rule for rule in round_.rules}
    setup = round_.setup  # the trial changed one with some samples held out; the cure changes the one that was given
    for code, index in round_.cures[cause.rule.code].path:
        setup = apply_remedy(rules[code], round_.examination, setup)[index]
    return cause, setup


def _course(setup: Setup) -> tuple[float, ...]:
    run = fit(setup)
    return run.validation_losses or run.record.epoch_losses()


def _sentence(done: list[str], last: Report) -> str:
    if not done:
        return f"Nothing was changed. {last.sentence}"
    return f"Treated {', then '.join(done)}. Examined again: {last.sentence}"
