"""The optimizer as given against others, each at the rate that suits it best, with equal steps."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, final

import torch
from torch.nn import Parameter
from torch.optim import Optimizer

from unstuck.measure.comparison import Comparison
from unstuck.measure.history import History
from unstuck.measure.preparation import Allowance, Prepared
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.range_test import RangeTest, range_test
from unstuck.measure.rate_runs import RatePoint
from unstuck.setup import OptimizerRecipe, Setup
from unstuck.setup.randomness import isolated
from unstuck.stats import paired_interval

MOMENTUM: Final = "SGD with momentum 0.9"
ADAM: Final = "Adam"

TRUSTED: Final = (
    torch.optim.Adam,
    torch.optim.AdamW,
    torch.optim.NAdam,
    torch.optim.RAdam,
    torch.optim.LBFGS,
)
"""What is not raced: the rivals themselves, in other words, and what takes the data in one batch."""

RUNS: Final = 4.0
"""Wall time for each optimizer, in runs of the set-up as given."""

PER_RUN: Final = 6.0
"""Optimizers that share the time that one run may take."""

LEAST_SECONDS: Final = 3.0
"""Wall time that a race is given at least where the examination allows it."""


@final
@dataclass(frozen=True, slots=True)
class Raced:
    """One optimizer at its best rate.

    Attributes:
        name: Of the optimizer.
        rate: Its best rate of those that were tried; as a factor for the one as given.
        losses: At the end of its runs, one a seed, shape `[S]`.
    """

    name: str
    rate: float
    losses: tuple[float, ...]


@final
@dataclass(frozen=True, slots=True)
class OptimizerRace:
    """The optimizer as given against others.

    Attributes:
        steps: Of each run.
        start: Loss before any step.
        given: The optimizer as given, at its best rate.
        rivals: The others, the smallest change first.
        excess: What `given` falls short of the best rival, as a share of that one's fall from the start.
        excess_low: Lower end of its 95 % interval, over the seeds.
        excess_high: Upper end.
        complete: Whether the time sufficed.
    """

    cost: ClassVar[float] = 8.0

    steps: int
    start: float
    given: Raced
    rivals: tuple[Raced, ...]
    excess: float
    excess_low: float
    excess_high: float
    complete: bool

    @classmethod
    def measure(
        cls, prepared: Prepared, history: History, comparison: Comparison, allowance: Allowance
    ) -> OptimizerRace:
        """Race where the training loss is large and the optimizer is not one of the rivals.

        Args:
            prepared: The set-up.
            history: Tells how long it trains.
            comparison: Tells whether its training loss is large.
            allowance: Limits the time.

        Returns:
            The race.

        Raises:
            NotMeasurable: If there is nothing to race for, or nothing could be trained.
        """
        if not comparison.training_is_large:
            raise NotMeasurable("nothing goes lower on the training data, so no other optimizer is tried")
        with isolated(prepared.setup.seed):
            _, optimizer = prepared.setup.build()
        if isinstance(optimizer, TRUSTED):
            raise NotMeasurable(f"{type(optimizer).__name__} is what other optimizers would be compared with")
        affordable = allowance.run_seconds / PER_RUN
        return race(prepared.setup, seconds=min(affordable, max(LEAST_SECONDS, RUNS * history.record.seconds)))

    @property
    def best_rival(self) -> Raced | None:
        """The rival with the lowest middle loss."""
        return min(self.rivals, key=lambda each: _middle(each.losses), default=None)


def race(setup: Setup, *, steps: int | None = None, seconds: float = math.inf) -> OptimizerRace:
    """Find the best rate of each optimizer, and compare them there.

    Args:
        setup: What is trained; nothing of it is touched.
        steps: Of each run; see `range_test`.
        seconds: Wall time for each optimizer.

    Returns:
        The race.

    Raises:
        NotMeasurable: If nothing could be trained.
    """
    tested = range_test(setup, steps=steps, seconds=seconds, finely=False)
    given = Raced("the optimizer as given", tested.best, _best(tested).losses)
    rivals, complete = list[Raced](), tested.complete
    for name, (rate, _) in RIVALS.items():
        found = range_test(with_rival(setup, name, rate), steps=tested.steps, seconds=seconds, finely=False)
        rivals.append(Raced(name, rate * found.best, _best(found).losses))
        complete = complete and found.complete
    best = min(rivals, key=lambda each: _middle(each.losses))
    # A run that ended above its start has gained nothing; how far above says no more.
    ceiling = [min(loss, tested.start) for loss in given.losses]
    fall = tested.start - _middle(best.losses)
    excess, low, high = math.nan, -math.inf, math.inf
    if math.isfinite(fall) and fall > 0.0 and all(map(math.isfinite, best.losses)):
        interval = paired_interval(best.losses, ceiling)
        excess = statistics.fmean(one - other for one, other in zip(ceiling, best.losses, strict=True)) / fall
        low, high = interval.low / fall, interval.high / fall
    return OptimizerRace(tested.steps, tested.start, given, tuple(rivals), excess, low, high, complete)


def with_rival(setup: Setup, name: str, rate: float) -> Setup:
    """Train with one of the rivals, at the weight decay as given.

    Args:
        setup: What is trained.
        name: `MOMENTUM` or `ADAM`.
        rate: Its rate.

    Returns:
        The changed set-up.
    """
    with isolated(setup.seed):
        _, optimizer = setup.build()
    decay = float(optimizer.param_groups[0].get("weight_decay") or 0.0)
    make = RIVALS[name][1]

    def recipe(parameters: Iterable[Parameter]) -> Optimizer:
        return make([each for each in parameters if each.requires_grad], rate, decay)

    return replace(setup, optimizer=OptimizerRecipe(recipe))


def _sgd(parameters: list[Parameter], rate: float, decay: float) -> Optimizer:
    return torch.optim.SGD(parameters, rate, momentum=0.9, weight_decay=decay)


def _adam(parameters: list[Parameter], rate: float, decay: float) -> Optimizer:
    return torch.optim.Adam(parameters, rate, weight_decay=decay)


Make = Callable[[Any, float, float], Optimizer]
RIVALS: Final[dict[str, tuple[float, Make]]] = {MOMENTUM: (0.03, _sgd), ADAM: (3e-3, _adam)}
"""Each with the rate about which its best one is sought, the smallest change first."""


def _best(test: RangeTest) -> RatePoint:
    return next(point for point in test.points if point.factor == test.best)


def _middle(losses: tuple[float, ...]) -> float:
    return statistics.median(losses)
