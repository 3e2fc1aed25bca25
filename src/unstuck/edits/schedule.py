"""Schedules that go at another pace, and other schedules."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, final

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from unstuck.languages import marked
from unstuck.setup import Setup
from unstuck.setup.record import SchedulerFactory

WARM_UP_SHARE: Final = 0.05
"""Share of the steps over which a warm-up rises (Goyal et al. 2017 take five epochs of ninety)."""

UNKNOWN_BATCHES: Final = 100
"""Batches of an epoch where only reading tells, for schedules counted in steps."""


@final
class _Paced:
    """A scheduler that is stepped once where its owner is stepped `factor` times; several times where it is below 1."""

    def __init__(self, scheduler: Any, factor: float) -> None:
        self.scheduler, self.factor, self.calls = scheduler, factor, 0

    def step(self, *arguments: Any) -> None:
        """Step the scheduler as often as is due."""
        before, self.calls = self.calls, self.calls + 1
        for _ in range(math.floor(self.calls / self.factor + 1e-9) - math.floor(before / self.factor + 1e-9)):
            self.scheduler.step(*arguments)


def _make_paced(factory: SchedulerFactory, factor: float, optimizer: Optimizer) -> _Paced:
    return _Paced(factory(optimizer), factor)


def paced(setup: Setup, factor: float) -> SchedulerFactory | None:
    """The set-up's scheduler for a run in which it is stepped `factor` times as often.

    It goes through the same rates over the whole run: one that is made for a fixed number of steps (OneCycleLR,
    CosineAnnealingLR) neither starts over nor runs out. One that watches the loss is kept as it is.

    Args:
        setup: Its scheduler.
        factor: Steps of the scheduler in the new run over those in the old one.

    Returns:
        The scheduler, or None where there is none.
    """
    if setup.scheduler is None or setup.schedule_every == "plateau" or factor == 1.0:
        return setup.scheduler
    return partial(_make_paced, setup.scheduler, factor)  # a run copies what it holds, as it does a function's own


def with_epochs_times(setup: Setup, factor: int) -> Setup:
    """Train for so many times the epochs, the schedule stretched with them."""
    return replace(setup, epochs=factor * setup.epochs, scheduler=paced(setup, float(factor)))


def with_batch_size(setup: Setup, batch_size: int) -> Setup:
    """Train on batches of another size for as many epochs, a schedule that is counted in steps fitted to them."""
    data = setup.train.with_batch_size(batch_size)
    before, after = setup.train.batches_per_epoch, data.batches_per_epoch
    scheduler = setup.scheduler
    if setup.schedule_every == "step" and before and after:
        scheduler = paced(setup, after / before)
    return replace(setup, train=data, scheduler=scheduler)


def steps_of(setup: Setup) -> int:
    """Batches of the whole run; a guess where only reading tells how many an epoch has."""
    return setup.epochs * (setup.train.batches_per_epoch or UNKNOWN_BATCHES)


@final
@dataclass(frozen=True)
class Shape:
    """A rate over the run: a warm-up, then constant or down to nothing along a cosine.

    Attributes:
        steps: Of the run.
        warm_up: Steps over which the rate rises on a straight line.
        decays: Whether it falls to 0 along a half cosine (Loshchilov and Hutter, 2017) by the end.
    """

    steps: int
    warm_up: int = 0
    decays: bool = False

    def __call__(self, optimizer: Optimizer) -> LambdaLR:
        """The scheduler."""
        return LambdaLR(optimizer, self.at)

    def at(self, step: int) -> float:
        """The factor on the rate at a step."""
        rise = min(1.0, (step + 1) / (self.warm_up + 1))
        return rise * (0.5 * (1.0 + math.cos(math.pi * min(1.0, step / self.steps))) if self.decays else 1.0)


def with_shape(setup: Setup, *, warm_up: bool = False, decays: bool = False) -> Setup:
    """Train along another schedule, counted in steps, in place of the one that there is.

    Args:
        setup: What is trained.
        warm_up: Whether the rate rises over the first `WARM_UP_SHARE` of the steps.
        decays: Whether it falls to 0 by the end.

    Returns:
        The changed set-up.
    """
    steps = steps_of(setup)
    shape = Shape(steps, max(1, round(WARM_UP_SHARE * steps)) if warm_up else 0, decays)
    if warm_up:
        says = "warm-up, then cosine decay to 0" if decays else marked("warm-up")
    else:
        says = "cosine decay to 0" if decays else "none: the rate is constant"
    wanted = shape if warm_up or decays else None
    return replace(setup, scheduler=wanted, schedule_every="step", described={**setup.described, "scheduler": says})
