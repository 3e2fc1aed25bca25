"""Runs of one set-up at several learning rates: of equal length, from the same starts and on the same batches."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final, final

from unstuck.edits.schedule import paced, steps_of
from unstuck.errors import UnstuckError
from unstuck.loop import Run, evaluate, fit
from unstuck.loop.batched import fit_together
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import Setup
from unstuck.setup.randomness import isolated, one_thread

FURTHEST: Final = 6.0
"""Decades from the given rate beyond which nothing is tried."""

EDGE: Final = 0.125
"""Decades within which the edge of divergence is told."""

SAMPLES: Final = 512
"""Training samples that every run is scored on, the same for all."""


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
@dataclass
class RateRuns:
    """Runs made so far, by their length. Rates are given by the decimal logarithm of their factor on the given one.

    Attributes:
        setup: What is trained.
        seeds: Runs of each rate.
        deadline: Time on the monotonic clock after which no further rates are sought.
    """

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
