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
from unstuck.loop import Run
from unstuck.measure.comparison import LARGE, Comparison
from unstuck.measure.protocol import Unmeasured
from unstuck.measure.scores import Scores
from unstuck.quantity import Quantity
from unstuck.report import Candidate, Curve, Outcome, Trial
from unstuck.rule import Aim, Rule
from unstuck.setup import Setup
from unstuck.setup.describe import difference
from unstuck.stats import mean_interval

SEEDS: Final = 3
MORE_SEEDS: Final = 5
HOPELESS: Final = 0.03
"""A gain on the first seed below which the other seeds are not run: a third of what would matter."""

NEARLY: Final = 0.9
"""Among several changes, the smallest that gains at least this share of the best one is kept."""

MOST_PAIRED: Final = 3
"""Changes of one remedy that are paired over seeds at most, while each proves less than its first seed promised."""

CURVE_POINTS: Final = 120

GAIN: Final = "gain, as a share of the span from the best constant to the lowest known"


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
            seconds=time.monotonic() - start, note=f"the changed set-up could not be trained: {failure}",
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
            screened.append((gauge.gain(control.scores, attempt.scores), candidate))
            if comparison is not None and gauge.is_enough(comparison, attempt.scores, screened[-1][0]):
                return screened, failure
    reached = {id(changed): _scores(laboratory, changed) for _, changed in screened}
    gauge.note(reached.values())
    return [(gauge.gain(control.scores, reached[id(changed)]), changed) for _, changed in screened], failure


def measure(
    laboratory: Laboratory, chosen: Setup, gauge: Gauge, says: str, announce: Callable[[str], None]
) -> tuple[Trial, Scores]:
    """Pair a changed set-up with the control over seeds.

    Args:
        laboratory: Trains, and holds the control.
        chosen: The changed set-up.
        gauge: Turns scores into gains.
        says: What was changed, as an imperative sentence.
        announce: Told what is being tried.

    Returns:
        The record, and the scores from the first seed.
    """
    start = time.monotonic()
    given = laboratory.prepared.setup
    pairs, note = _pair(laboratory, chosen, gauge, announce)
    scores = [(before.scores, after.scores) for before, after in pairs]
    gains = [gauge.gain(before, after) for before, after in scores]
    interval = mean_interval(gains) if len(gains) > 1 else None
    outcome, whole = decide(gains), laboratory.whole
    if whole is not None:  # what a shorter run proves must hold against the longer one that the user has
        note = " ".join([f"Each run was cut to {laboratory.steps} of {len(whole.run.losses)} steps.", note]).strip()
        if outcome is Outcome.PRESENT and gauge.gain(whole.scores, scores[0][1]) < LARGE.value:
            outcome = Outcome.UNDECIDED
    record = Trial(
        remedy=says,
        changes=difference(given, chosen),
        outcome=outcome,
        score=gauge.score,
        seeds=tuple(before.run.setup.seed for before, _ in pairs),
        before=tuple(gauge.number(before) for before, _ in scores),
        after=tuple(gauge.number(after) for _, after in scores),
        gain=Quantity(GAIN, sum(gains) / len(gains), "1", *((interval.low, interval.high) if interval else ())),
        closed=gauge.closed(scores),
        curves=_curves(pairs, gauge.score),
        seconds=time.monotonic() - start,
        note=note,
    )
    return record, scores[0][1]


def _curves(pairs: Sequence[tuple[Attempt, Attempt]], score: str) -> tuple[Curve, ...]:
    """Both runs of each seed, the first seed's first; the validation losses too where the training loss is not it."""
    drawn: list[Curve] = []
    for number, pair in enumerate(pairs):
        for words, attempt in zip(("as given", "with the remedy"), pair, strict=True):
            run = attempt.run
            drawn.append(curve(f"{words}, seed {run.setup.seed}" if number else words, run))
    for pair in pairs if not score.startswith("training") else ():
        for words, attempt in zip(("as given", "with the remedy"), pair, strict=True):
            record = attempt.run.record
            ends = record.epoch_ends[: len(record.validation_losses)]
            if ends:
                label = f"{words}, seed {record.seed}, validation loss"
                drawn.append(Curve(label, ends, record.validation_losses))
    return tuple(drawn)


def _pair(
    laboratory: Laboratory, chosen: Setup, gauge: Gauge, announce: Callable[[str], None]
) -> tuple[list[tuple[Attempt, Attempt]], str]:
    """Control and remedy from the same seeds: one where it is hopeless, three, or up to five while undecided."""
    given = laboratory.prepared.setup
    first = given.seed
    pairs = [(laboratory.attempt(given, first), laboratory.attempt(chosen, first))]
    gains = [gauge.gain(pairs[0][0].scores, pairs[0][1].scores)]
    while gains[0] > HOPELESS and len(pairs) < MORE_SEEDS:
        if len(pairs) >= SEEDS and decide(gains) is not Outcome.UNDECIDED:
            break
        seeds = range(first + len(pairs), first + max(SEEDS, len(pairs) + 1))
        announce(f"the same from seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}")
        found = laboratory.attempt_all([(setup, seed) for seed in seeds for setup in (given, chosen)])
        for before, after in zip(found[::2], found[1::2], strict=True):
            if isinstance(before, Attempt) and isinstance(after, Attempt):
                pairs.append((before, after))
                gains.append(gauge.gain(before.scores, after.scores))
        wanted = seeds.stop - first
        if len(pairs) < wanted:
            failure = next(str(attempt) for attempt in found if not isinstance(attempt, Attempt))
            return pairs, f"{len(pairs)} of {wanted} seeds were run: {failure}"
    return pairs, ""


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


def curve(label: str, run: Run) -> Curve:
    """A run's training loss, averaged over equal stretches so that it can be drawn."""
    losses = run.losses
    width = max(1, math.ceil(len(losses) / CURVE_POINTS))
    steps = range(0, len(losses), width)
    means = tuple(sum(losses[step : step + width]) / len(losses[step : step + width]) for step in steps)
    return Curve(label, tuple(steps), means)


def decide(gains: Sequence[float]) -> Outcome:
    """Say whether gains prove, refute, or leave it open.

    Args:
        gains: One a seed, at least one.

    Returns:
        PRESENT where the mean matters and its interval is above 0, ABSENT where it does not matter.
    """
    mean = sum(gains) / len(gains)
    if len(gains) == 1:
        return Outcome.ABSENT if mean <= HOPELESS else Outcome.UNDECIDED
    interval = mean_interval(list(gains))
    if mean >= LARGE.value and interval.low > 0.0:
        return Outcome.PRESENT
    if mean < 0.5 * LARGE.value or interval.high < LARGE.value:
        return Outcome.ABSENT
    return Outcome.UNDECIDED
