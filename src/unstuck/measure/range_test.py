"""The learning-rate range test: which rates suit a set-up, with an interval, told from runs and not from batches.

The test of Smith ("Cyclical learning rates for training neural networks", 2017) raises the rate within one run and
reads the loss of single batches: noise moves what it tells, and every rate starts where the one before it has left
the weights. Here each rate has runs of its own, of equal length, from the same starts and on the same batches.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final, final

from unstuck.edits.schedule import paced, steps_of
from unstuck.errors import UnstuckError
from unstuck.loop import Run, evaluate, fit
from unstuck.loop.batched import fit_together
from unstuck.measure.comparison import Comparison
from unstuck.measure.history import History
from unstuck.measure.preparation import Prepared
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import Setup
from unstuck.setup.randomness import isolated, one_thread
from unstuck.stats import paired_interval

SEEDS: Final = 3
DECADES: Final = (-2.0, -1.0, 0.0, 1.0, 2.0)
"""Logarithms of the factors on the given rate that are screened first."""

FURTHEST: Final = 6.0
"""Decades from the given rate beyond which nothing is tried."""

FINE: Final = 0.5
"""Decades between neighbouring rates where the best one is sought."""

EDGE: Final = 0.125
"""Decades within which the edge of divergence is told."""

SCREEN_SHARE: Final = 0.25
"""Share of the steps that the screening runs take: three quarters of the rates go no further."""

FEWEST_STEPS: Final = 10
MOST_STEPS: Final = 300
SAMPLES: Final = 512
"""Training samples that every run is scored on, the same for all."""

RUNS: Final = 4.0
"""Wall time of the test as part of an examination, in runs of the set-up as given."""


@final
@dataclass(frozen=True, slots=True)
class RatePoint:
    """One rate that was tried.

    Attributes:
        factor: On the rate as given.
        losses: At the end of its runs, one a seed, shape `[S]`; infinite where a run diverged.
    """

    factor: float
    losses: tuple[float, ...]

    @property
    def loss(self) -> float:
        """The middle one: a single run that got lucky or lost does not count."""
        return statistics.median(self.losses)


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

    @property
    def is_best(self) -> bool:
        """Whether the given rate lies between those that are worse beyond the noise."""
        return self.low < 1.0 < self.high


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
        finely: Whether the edge of divergence is narrowed down.

    Returns:
        The test.

    Raises:
        NotMeasurable: If no run could be made.
    """
    whole = steps_of(setup)
    length = min(whole, MOST_STEPS) if steps is None else steps
    bench = _Bench(setup, seeds, time.monotonic() + seconds)
    short = max(FEWEST_STEPS, round(SCREEN_SHARE * length))
    middle = bench.search(DECADES, min(short, length), 1.0)
    near = (middle - 2 * FINE, middle - FINE, middle, middle + FINE, middle + 2 * FINE)
    middle = bench.search([*near, 0.0], length, FINE)
    points = bench.points(length)
    stable, unstable = bench.edge(length, finely)
    best = next(point for point in points if point.factor == 10.0**middle)
    worse = [point.factor for point in points if _is_worse(point, best)]
    excess, excess_low, excess_high = _excess(points, best, bench.starts())
    return RangeTest(
        steps=length,
        start=statistics.median(bench.starts()),
        points=points,
        best=best.factor,
        low=max((factor for factor in worse if factor < best.factor), default=0.0),
        high=min((factor for factor in worse if factor > best.factor), default=math.inf),
        largest_stable=stable,
        smallest_unstable=unstable,
        excess=excess,
        excess_low=excess_low,
        excess_high=excess_high,
        complete=not bench.is_late,
    )


@final
@dataclass
class _Bench:
    """The runs of one test. Rates are given by the logarithm of their factor."""

    setup: Setup
    seeds: int
    deadline: float
    _losses: dict[int, dict[float, tuple[float, ...]]] = field(default_factory=dict)
    _starts: list[float] = field(default_factory=list)

    @property
    def is_late(self) -> bool:
        """Whether the time is used up."""
        return time.monotonic() > self.deadline

    def search(self, rates: Iterable[float], length: int, stride: float) -> float:
        """Run some rates, and further ones while the best lies at an edge; give the best one."""
        self.run(rates, length)
        while not self.is_late:
            tried = sorted(self._losses[length])
            best = self._best(length)
            beyond = best - stride if best == tried[0] else best + stride if best == tried[-1] else None
            if beyond is None or abs(beyond) > FURTHEST:
                return best
            self.run([beyond], length)
        return self._best(length)

    def _best(self, length: int) -> float:
        """The rate with the lowest middle loss; of equal ones that nearest to the given."""
        known = self._losses[length]
        return min(known, key=lambda rate: (statistics.median(known[rate]), abs(rate)))

    def run(self, rates: Iterable[float], length: int) -> None:
        """Run rates that have not been, each from every seed."""
        known = self._losses.setdefault(length, {})
        missing = [rate for rate in dict.fromkeys(rates) if rate not in known]
        setup = replace(self.setup, scheduler=paced(self.setup, length / max(1, steps_of(self.setup))))
        short = max(1, math.ceil(length / (setup.train.batches_per_epoch or length)))
        setup = replace(setup, epochs=short, validation=None, early_stopping=False)
        at = {rate: replace(setup, optimizer=setup.optimizer.with_rate_times(10.0**rate)) for rate in missing}
        seeds = [self.setup.seed + number for number in range(self.seeds)]
        wanted = [(at[rate], seed) for rate in missing for seed in seeds]
        losses = [_score(self.setup, run) for run in _trained(wanted, length)]
        for number, rate in enumerate(missing):
            known[rate] = tuple(losses[number * self.seeds : (number + 1) * self.seeds])

    def points(self, length: int) -> tuple[RatePoint, ...]:
        """What was run for so many steps, from the lowest rate."""
        return tuple(RatePoint(10.0**rate, losses) for rate, losses in sorted(self._losses[length].items()))

    def starts(self) -> list[float]:
        """The loss before any step, one a seed."""
        if not self._starts:
            self._starts = [_start(self.setup, self.setup.seed + number) for number in range(self.seeds)]
        return self._starts

    def edge(self, length: int, finely: bool) -> tuple[float, float]:
        """The largest rate that ends below the start and the smallest above it that does not, as factors."""
        start = statistics.median(self.starts())
        while True:
            known = {rate: statistics.median(losses) < start for rate, losses in self._losses[length].items()}
            stable = max((rate for rate, is_stable in known.items() if is_stable), default=None)
            if stable is None:
                return 0.0, 10.0 ** min(known)
            unstable = min((rate for rate in known if rate > stable), default=None)
            if self.is_late or not finely or (unstable is not None and unstable - stable <= EDGE):
                return 10.0**stable, math.inf if unstable is None else 10.0**unstable
            if unstable is not None:
                self.run([(stable + unstable) / 2.0], length)
            elif stable + 1.0 > FURTHEST:
                return 10.0**stable, math.inf
            else:
                self.run([stable + 1.0], length)


def _trained(wanted: list[tuple[Setup, int]], length: int) -> list[Run]:
    """Train, as one batched run where the model allows.

    Args:
        wanted: Set-ups with their seeds.
        length: Steps of each.

    Returns:
        The runs.

    Raises:
        NotMeasurable: If one raises an error of the user's.
    """
    if not wanted:
        return []
    runs = fit_together(wanted, steps=length, validate=False) if len(wanted) > 1 else None
    try:
        return list(runs or (fit(setup, seed=seed, steps=length, validate=False) for setup, seed in wanted))
    except UnstuckError as error:
        raise NotMeasurable(f"a run at another rate raised: {error}") from error


def _score(given: Setup, run: Run) -> float:
    """The loss on the fixed sample at the end; that of the last tenth of the run where the loss is inside the step."""
    if run.record.stopped == "non-finite" or not run.losses:
        return math.inf
    tail = run.losses[-max(1, len(run.losses) // 10) :]
    with one_thread():
        loss = statistics.fmean(tail) if given.loss is None else evaluate(given, run.model, given.train, SAMPLES).loss
    return loss if math.isfinite(loss) else math.inf


def _start(setup: Setup, seed: int) -> float:
    if setup.loss is None:
        return fit(setup, seed=seed, steps=1, validate=False).losses[0]
    with isolated(seed), one_thread():
        own, model, _ = replace(setup, seed=seed).fresh()
    return evaluate(own, model, setup.train, SAMPLES).loss


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
