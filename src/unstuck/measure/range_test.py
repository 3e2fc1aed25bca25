"""The learning-rate range test: which rates suit a set-up, with an interval, told from runs and not from batches.

The test of Smith ("Cyclical learning rates for training neural networks", 2017) raises the rate within one run and
reads the loss of single batches: noise moves what it tells, and every rate starts where the one before it has left
the weights. Here each rate has runs of its own, of equal length, from the same starts and on the same batches.
"""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass
from typing import ClassVar, Final, final

from unstuck.edits.schedule import steps_of
from unstuck.measure.comparison import Comparison
from unstuck.measure.history import History
from unstuck.measure.preparation import Prepared
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.rate_runs import RatePoint, RateRuns
from unstuck.setup import Setup
from unstuck.stats import paired_interval

SEEDS: Final = 3
"""Runs of each rate."""

DECADES: Final = (-2.0, -1.0, 0.0, 1.0, 2.0)
"""Logarithms of the factors on the given rate that are screened first."""

FINE: Final = 0.5
"""Decades between neighbouring rates where the best one is sought."""

SCREEN_SHARE: Final = 0.25
"""Share of the steps that the screening runs take: three quarters of the rates go no further."""

FEWEST_STEPS: Final = 10
"""Length of a screening run at least."""

MOST_STEPS: Final = 300
"""Length of a run at most."""

RUNS: Final = 4.0
"""Wall time of the test as part of an examination, in runs of the set-up as given."""


@final
@dataclass(frozen=True, slots=True)
class RangeTest:
    """Which rates suit a set-up. Every rate is a factor on the one that is given.

    Attributes:
        steps: Length of each run.
        start: Loss before any step, the middle seed's.
        points: Rates that were run in full, from the lowest.
        best: The best of them.
        low: The next lower rate that is worse beyond the noise of the seeds; 0 where none that was tried is.
        high: The next higher one; infinite likewise.
        largest_stable: The largest rate that ended below the start.
        smallest_unstable: The smallest above it that did not; infinite where none was found.
        excess: What the given rate falls short of the best one, as a share of the best one's fall from the start.
        excess_low: Lower end of its 95 % interval, over the seeds.
        excess_high: Upper end.
        complete: Whether the time sufficed.
    """

    cost: ClassVar[float] = RUNS

    steps: int
    start: float
    points: tuple[RatePoint, ...]
    best: float
    low: float
    high: float
    largest_stable: float
    smallest_unstable: float
    excess: float
    excess_low: float
    excess_high: float
    complete: bool

    @classmethod
    def measure(cls, prepared: Prepared, history: History, comparison: Comparison) -> RangeTest:
        """Run the test on a set-up whose training loss is large.

        Args:
            prepared: The set-up.
            history: Tells how long it trains.
            comparison: Tells whether its training loss is large.

        Returns:
            The test.

        Raises:
            NotMeasurable: If the training loss is not large, or nothing could be trained.
        """
        if not comparison.training_is_large:
            raise NotMeasurable("nothing goes lower on the training data, so no other rate is sought")
        return range_test(prepared.setup, seconds=max(2.0, RUNS * history.record.seconds))


def range_test(
    setup: Setup, *, steps: int | None = None, seeds: int = SEEDS, seconds: float = math.inf, finely: bool = True
) -> RangeTest:
    """Find the rates that suit a set-up, by any optimizer and on any batches.

    Runs of equal length start from the same seeds; a schedule goes through its whole course in each. They are scored
    by the loss on a fixed sample of the training split. Decades about the given rate are screened on short runs, and
    further ones while the best lies at an edge; around the best, half-decades are run in full.

    Args:
        setup: What is trained; nothing of it is touched.
        steps: Length of a run; that of the set-up's own where not given, at most `MOST_STEPS`.
        seeds: Runs of each rate.
        seconds: Wall time after which no more runs are started.
        finely: Whether the edge of divergence is narrowed down, and a decade about the best is run in full.

    Returns:
        The test.

    Raises:
        NotMeasurable: If no run could be made.
    """
    whole = steps_of(setup)
    length = min(whole, MOST_STEPS) if steps is None else steps
    runs = RateRuns(setup, seeds, time.monotonic() + seconds)
    short = max(FEWEST_STEPS, round(SCREEN_SHARE * length))
    middle = runs.search(DECADES, min(short, length), 1.0)
    around = (-2, -1, 0, 1, 2) if finely else (-1, 0, 1)  # the search goes on from there while the best is an edge
    near = [middle + number * FINE for number in around]
    middle = runs.search([*near, 0.0], length, FINE)
    points = runs.points(length)
    stable, unstable = runs.edge(length, finely)
    best = next(point for point in points if point.factor == 10.0**middle)
    worse = [point.factor for point in points if _is_worse(point, best)]
    excess, excess_low, excess_high = _excess(points, best, runs.starts())
    return RangeTest(
        steps=length,
        start=statistics.median(runs.starts()),
        points=points,
        best=best.factor,
        low=max((factor for factor in worse if factor < best.factor), default=0.0),
        high=min((factor for factor in worse if factor > best.factor), default=math.inf),
        largest_stable=stable,
        smallest_unstable=unstable,
        excess=excess,
        excess_low=excess_low,
        excess_high=excess_high,
        complete=not runs.is_late,
    )


def _is_worse(point: RatePoint, best: RatePoint) -> bool:
    """Whether a rate ends higher than the best one beyond the noise of the seeds."""
    if point is best or not point.loss > best.loss:
        return False
    if not math.isfinite(point.loss) or len(point.losses) < 2:
        return True
    finite = [(one, other) for one, other in zip(best.losses, point.losses, strict=True) if math.isfinite(other)]
    if len(finite) < len(best.losses):
        return True
    before, after = zip(*finite, strict=True)
    return paired_interval(before, after).low > 0.0


def _excess(points: tuple[RatePoint, ...], best: RatePoint, starts: list[float]) -> tuple[float, float, float]:
    """How far the given rate falls short of the best, as a share of the best one's fall, with its interval."""
    given = next(point for point in points if point.factor == 1.0)
    falls = statistics.median(starts) - best.loss
    if not (math.isfinite(falls) and falls > 0.0):
        return math.nan, -math.inf, math.inf
    # A run that ended above its start has gained nothing; how far above says no more.
    reached = [min(loss, max(start, low)) for loss, start, low in zip(given.losses, starts, best.losses, strict=True)]
    interval = paired_interval(best.losses, reached)
    middle = statistics.fmean(after - before for before, after in zip(best.losses, reached, strict=True))
    return middle / falls, interval.low / falls, interval.high / falls
