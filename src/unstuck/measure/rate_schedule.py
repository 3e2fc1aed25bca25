"""How fast a schedule uses up the learning rate, stepped as it is and stepped once an epoch."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from unstuck.loop import correcting
from unstuck.loop.correcting import scheduler_calls
from unstuck.loop.stages import stage, take_step
from unstuck.measure.preparation import Prepared
from unstuck.setup import Setup
from unstuck.setup.randomness import isolated, one_thread, seeded
from unstuck.setup.source import calling_line

CALLS: Final = 4
"""Training calls in which a scheduler of the user's own is looked for."""

MOST_STEPS: Final = 4000
"""Steps of a schedule that are played through; it is taken to stay where it is after them."""

LITTLE: Final = 0.0101
"""Rate over the highest one of the run at which hardly anything moves any more: two decays to a tenth, rounding."""


@final
@dataclass(frozen=True, slots=True)
class RateSchedule:
    """The schedule played through without training.

    Attributes:
        exists: Whether there is one.
        inside: Whether the scheduler is stepped inside the training step.
        per_batch: Whether it is stepped after every batch.
        batches: Batches of the whole run.
        epochs: Epochs of the run.
        spent: Share of the batches at which the rate is a hundredth of its highest or less.
        spent_by_epoch: The same, were the scheduler stepped once an epoch.
        ahead: Whether a scheduler inside the step is stepped before the optimizer.
        line: Line of the user's source that steps it, or "".
    """

    cost: ClassVar[float] = 0.0

    exists: bool
    inside: bool
    per_batch: bool
    batches: int
    epochs: int
    spent: float
    spent_by_epoch: float
    ahead: bool
    line: str

    @classmethod
    def measure(cls, prepared: Prepared) -> RateSchedule:
        """Play the schedule through; a schedule that waits for the loss counts as none."""
        setup = prepared.setup
        batches = setup.epochs * (setup.train.batches_per_epoch or 0)
        scheduler, watch = None, _Watch()
        with isolated(setup.seed), one_thread():
            if setup.scheduler is not None and setup.schedule_every != "plateau":
                own, _, optimizer = setup.fresh()
                assert own.scheduler is not None  # it was there
                with stage("schedule"):
                    scheduler = own.scheduler(optimizer)
                per_batch = setup.schedule_every == "step"
            elif setup.scheduler is None and setup.train_step is not None:
                optimizer = _watched(setup, watch)
                scheduler, per_batch = watch.scheduler, watch.steps >= watch.calls
                per_batch &= not setup.corrections.schedule_by_epoch
            if scheduler is None or batches == 0:
                return cls(False, False, False, batches, setup.epochs, 0.0, 0.0, False, "")
            rates = _played(scheduler, optimizer, batches)
        by_epoch = rates[: setup.epochs]
        return cls(
            exists=True,
            inside=setup.scheduler is None,
            per_batch=per_batch,
            batches=batches,
            epochs=setup.epochs,
            spent=_spent(rates if per_batch else by_epoch, batches if per_batch else setup.epochs),
            spent_by_epoch=_spent(by_epoch, setup.epochs),
            ahead=watch.ahead,
            line=watch.line,
        )


@final
@dataclass
class _Watch:
    """What is seen of schedulers inside some training calls."""

    calls: int = 0
    steps: int = 0
    scheduler: LRScheduler | None = None
    ahead: bool = False
    line: str = ""
    stepped: bool = False

    def see(self, scheduler: LRScheduler) -> bool:
        """Note a call; one that waits for the loss is left out. All are carried out."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            self.scheduler, self.line = scheduler, self.line or calling_line(correcting.__file__)
            self.steps += 1
            self.ahead |= not self.stepped
        return True


def _watched(setup: Setup, watch: _Watch) -> Optimizer:
    own, model, optimizer = setup.fresh()
    if not model.training:
        model.train()
    optimizer.register_step_post_hook(lambda *_: setattr(watch, "stepped", True))
    generator = seeded(setup.seed)
    with scheduler_calls(watch.see):
        for batch in own.train.batches(generator):
            watch.calls, watch.stepped = watch.calls + 1, False
            take_step(own, model, optimizer, own.placed(batch))
            if watch.calls >= CALLS:
                break
    return optimizer


def _played(scheduler: Any, optimizer: Optimizer, steps: int) -> list[float]:
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a schedule without steps of the optimizer
        for _ in range(min(steps, MOST_STEPS)):
            rates.append(float(optimizer.param_groups[0].get("lr", math.nan)))
            try:
                scheduler.step()
            except Exception:  # a schedule of so many steps and no more
                break
    return rates


def _spent(rates: Sequence[float], steps: int) -> float:
    highest = max(rates, default=0.0)
    if not highest > 0.0 or steps == 0:
        return 0.0
    low = [rate <= LITTLE * highest for rate in rates]
    return (sum(low) + (steps - len(low)) * low[-1]) / steps
