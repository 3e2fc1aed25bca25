"""A changed set-up paired with the control over seeds, and what the pairs decide."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Final

from unstuck.gauge import Gauge
from unstuck.laboratory import Attempt, Laboratory
from unstuck.loop import Run
from unstuck.measure.comparison import LARGE
from unstuck.measure.scores import Scores
from unstuck.quantity import Quantity
from unstuck.report import Curve, Outcome, Trial
from unstuck.setup import Setup
from unstuck.setup.describe import difference
from unstuck.stats import mean_interval

SEEDS: Final = 3
MORE_SEEDS: Final = 5
HOPELESS: Final = 0.03
"""A gain on the first seed below which the other seeds are not run: a third of what would matter."""

CURVE_POINTS: Final = 120

GAIN: Final = "gain, as a share of the span from the best constant to the lowest known"


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
    if whole is not None:
        note = " ".join([f"Each run was cut to {laboratory.steps} of {len(whole.run.losses)} steps.", note]).strip()
        # What a shorter run proves must hold against the longer one that the user has; what it does not show, as long
        # as it does no harm, a whole run might.
        if outcome is Outcome.PRESENT and gauge.gain(whole.scores, scores[0][1]) < LARGE.value:
            outcome = Outcome.UNDECIDED
        if outcome is Outcome.ABSENT and sum(gains) / len(gains) > -LARGE.value:
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


def curve(label: str, run: Run) -> Curve:
    """A run's training loss, averaged over equal stretches so that it can be drawn."""
    losses = run.losses
    width = max(1, math.ceil(len(losses) / CURVE_POINTS))
    steps = range(0, len(losses), width)
    means = tuple(sum(losses[step : step + width]) / len(losses[step : step + width]) for step in steps)
    return Curve(label, tuple(steps), means)


def decide(gains: Sequence[float]) -> Outcome:
    """Say whether gains prove, refute, or leave it open.

    Gains need not scatter evenly: where some runs as given fail altogether and others in part, those that the remedy
    helps most make the t-interval of the mean wide on both sides. So `MORE_SEEDS` seeds that all gain, most of them
    what matters, count too: were a loss as likely as a gain, all would gain once in 32 times (the sign test:
    Dixon & Mood, "The statistical sign test", 1946).

    Args:
        gains: One a seed, at least one.

    Returns:
        PRESENT where the mean matters and its interval is above 0, or all gain and the median matters; ABSENT where
        it does not.
    """
    mean = sum(gains) / len(gains)
    if len(gains) == 1:
        return Outcome.ABSENT if mean <= HOPELESS else Outcome.UNDECIDED
    interval = mean_interval(list(gains))
    if mean >= LARGE.value and interval.low > 0.0:
        return Outcome.PRESENT
    if len(gains) >= MORE_SEEDS and min(gains) > 0.0 and statistics.median(gains) >= LARGE.value:
        return Outcome.PRESENT
    if mean < 0.5 * LARGE.value or interval.high < LARGE.value:
        return Outcome.ABSENT
    return Outcome.UNDECIDED
