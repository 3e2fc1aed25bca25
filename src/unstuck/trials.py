"""Trials: a remedy against a control with the same seeds, the same batches and the same budget."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, final

from unstuck.errors import RemedyError
from unstuck.examine import Examination, requests
from unstuck.gauge import Gauge, loss_compares
from unstuck.laboratory import Attempt, Laboratory
from unstuck.measure.comparison import Comparison
from unstuck.measure.protocol import Unmeasured
from unstuck.measure.scores import Scores
from unstuck.pairing import GAIN, HOPELESS, measure
from unstuck.quantity import Quantity
from unstuck.report import Candidate, Outcome, Trial
from unstuck.rule import Aim, Rule
from unstuck.setup import Setup
from unstuck.setup.describe import difference

NEARLY: Final = 0.9
"""Among several changes, the smallest that gains at least this share of the best one is kept."""

MOST_PAIRED: Final = 3
"""Changes of one remedy that are paired over seeds at most, while each proves less than its first seed promised."""

Path = tuple[tuple[str, int], ...]
"""Codes of rules, each with the number of the candidate of its remedy."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Tried:
    """A trial together with the set-up that it tried.

    Attributes:
        trial: The record for the report.
        setup: The changed set-up.
        path: Which candidate of which rules it is, in the order in which they were applied.
        after: Its scores from the first seed; None where it could not be trained.
        by_loss: Whether its loss compares with that of the set-up as given.
        measured: By code, the measurements that a remedy was applied with, where they are not those of the set-up as
            given: on top of another remedy they are taken anew.
    """

    trial: Trial
    setup: Setup
    path: Path
    after: Scores | None
    by_loss: bool
    measured: Mapping[str, Examination] = field(default_factory=dict)


def only_lengthens(candidates: Sequence[Setup], setup: Setup) -> bool:
    """Whether each way of a remedy trains for more epochs."""
    return all(changed.epochs > setup.epochs for changed in candidates)


def shortfall_left(tried: Tried, comparison: Comparison | None) -> float:
    """What a remedy leaves of the shortfall, a share of the span; NaN where it cannot be told."""
    if comparison is None or not comparison.comparators or tried.after is None:
        return math.nan
    return comparison.shortfall_of(tried.after, tried.by_loss)


NO_SCALE: Final = "the remedy changes the loss, and no error of the task is known by which to compare"
"""Why a trial of a remedy that changes the loss may come to no result."""


def trial(
    laboratory: Laboratory,
    comparison: Comparison | None,
    rule: Rule,
    candidates: Sequence[Setup],
    announce: Callable[[str], None] = lambda doing: None,
) -> Tried:
    """Run a remedy against the control.

    Candidates are screened on the first seed; the smallest change that does nearly as well as the best goes on to
    the other seeds, paired with the control.

    Args:
        laboratory: Trains, and holds the control.
        comparison: Gives the span that gains are shares of, where it could be measured.
        rule: Whose remedy it is.
        candidates: Set-ups changed by it, the smallest change first; at least one.
        announce: Told what is being tried.

    Returns:
        The trial. Its outcome is PRESENT where the gain matters beyond its interval, ABSENT where it does not,
        UNDECIDED where the interval straddles or time ran out.
    """
    start = time.monotonic()
    says, given = rule.remedy.says, laboratory.prepared.setup
    gauge = Gauge(comparison, rule.aim, loss_compares(given, candidates))
    announce(says if len(candidates) == 1 else f"{says} ({len(candidates)} ways)")
    screened, failure = _screen(laboratory, comparison, gauge, candidates)
    if not screened:
        nothing = Trial(
            says, (), Outcome.UNDECIDED, gauge.score, (), (), (), Quantity(GAIN, math.nan),
            seconds=time.monotonic() - start,
            note=failure if failure == NO_SCALE else f"the changed set-up could not be trained: {failure}",
        )  # fmt: skip
        return Tried(nothing, given, (), None, gauge.by_loss)
    best = max(gain for gain, _ in screened)
    found: tuple[Trial, Scores, Setup] | None = None
    worth_pairing = _worth_pairing(screened, candidates)[:MOST_PAIRED]
    if best <= HOPELESS and rule.aim is Aim.TRAINING:  # none cures; what goes lowest may do so together with another
        worth_pairing = [
            min((setup for _, setup in screened), key=lambda setup: gauge.height(_scores(laboratory, setup)))
        ]
    for chosen in worth_pairing:
        if not isinstance(laboratory.attempt_all([(chosen, given.seed)])[0], Attempt):
            continue  # one that was not screened may not run
        record, after = measure(laboratory, chosen, gauge, says, announce)
        if found is None or _proof(record) > _proof(found[0]):
            found = record, after, chosen
        # A change that did well on the first seed only was lucky; the next larger one is safer.
        if best <= HOPELESS or record.gain.value >= NEARLY * best or laboratory.exhausted:
            break
    assert found is not None  # at least one candidate is as good as the best
    record, after, chosen = found
    path = ((rule.code, list(candidates).index(chosen)),)
    compared = _ranking(laboratory, gauge, screened)
    record = replace(record, seconds=time.monotonic() - start, candidates=compared)
    return Tried(record, chosen, path, after, gauge.by_loss)


def _scores(laboratory: Laboratory, setup: Setup) -> Scores:
    """What a set-up that was screened came to."""
    return laboratory.attempt(setup, laboratory.prepared.setup.seed).scores


def _ranking(laboratory: Laboratory, gauge: Gauge, screened: Sequence[tuple[float, Setup]]) -> tuple[Candidate, ...]:
    """What each of several changes gained on the first seed, the best first; none where there was but one."""
    given = laboratory.prepared.setup
    if len(screened) < 2:
        return ()
    return tuple(
        Candidate(difference(given, setup), gauge.number(_scores(laboratory, setup)), gain)
        for gain, setup in sorted(screened, key=lambda pair: -pair[0])
    )


def _proof(record: Trial) -> tuple[bool, float]:
    """How far a trial proves its cause: a proof counts for more than a larger gain that is left open."""
    return record.outcome is Outcome.PRESENT, record.gain.value


def _worth_pairing(screened: Sequence[tuple[float, Setup]], candidates: Sequence[Setup]) -> list[Setup]:
    """Candidates that did nearly as well as the best, and those not screened after them, the smallest change first."""
    best = max(gain for gain, _ in screened)
    good = [setup for gain, setup in screened if gain >= min(NEARLY * best, best)]
    last = list(candidates).index(screened[-1][1])
    return [*good, *candidates[last + 1 :]]


def _screen(
    laboratory: Laboratory, comparison: Comparison | None, gauge: Gauge, candidates: Sequence[Setup]
) -> tuple[list[tuple[float, Setup]], str]:
    """Gains from the first seed, the smallest change first, until one leaves nothing that falls short; a failure."""
    given = laboratory.prepared.setup
    screened: list[tuple[float, Setup]] = []
    control = laboratory.attempt_all([(given, given.seed)])[0]
    if not isinstance(control, Attempt):
        return screened, str(control)
    failure = ""
    width = laboratory.at_once(candidates)
    for start in range(0, len(candidates), width):
        part = candidates[start : start + width]
        for candidate, attempt in zip(part, laboratory.attempt_all([(c, given.seed) for c in part]), strict=True):
            if not isinstance(attempt, Attempt):  # a change that does not run is passed over; another may
                failure = failure or str(attempt)
                continue
            if not gauge.by_loss and _is_unscored(gauge, attempt.scores):
                failure = failure or NO_SCALE
                continue
            screened.append((gauge.gain(control.scores, attempt.scores), candidate))
            if comparison is not None and gauge.is_enough(comparison, attempt.scores, screened[-1][0]):
                return screened, failure
    reached = {id(changed): _scores(laboratory, changed) for _, changed in screened}
    gauge.note(reached.values())
    return [(gauge.gain(control.scores, reached[id(changed)]), changed) for _, changed in screened], failure


def _is_unscored(gauge: Gauge, scores: Scores) -> bool:
    """Whether a run that ended in numbers has none of the task, so that it cannot be told what another loss gained."""
    return math.isnan(gauge.number(scores)) and math.isfinite(scores.training.loss)


def apply_remedy(rule: Rule, examination: Examination, setup: Setup) -> tuple[Setup, ...]:
    """The changed set-ups that a rule's remedy proposes.

    Args:
        rule: Its remedy can be applied.
        examination: Holds the measurements that the remedy asks for.
        setup: What to change.

    Returns:
        At least one set-up, the smallest change first.

    Raises:
        RemedyError: If the remedy does not apply.
    """
    assert rule.remedy.apply is not None
    wanted = {name: kind for name, kind in requests(rule.remedy.apply).items() if kind is not Setup}
    found: dict[str, Any] = {}
    for name, kind in wanted.items():
        value = examination.get(kind)
        if isinstance(value, Unmeasured):
            raise RemedyError(f"it needs {kind.__name__}: {value.reason}")
        found[name] = value
    try:
        changed = rule.remedy.apply(setup, **found)
    except RemedyError:
        raise
    except Exception as error:  # one broken remedy must not cost the user the other findings
        raise RemedyError(f"applying it raised {type(error).__name__}: {error}") from error
    candidates = changed if isinstance(changed, tuple) else (changed,)
    if not candidates:
        raise RemedyError("it proposes nothing for this set-up")
    return candidates
