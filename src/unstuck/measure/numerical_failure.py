"""Where the first number that is NaN or infinite arose, found by taking the recorded steps once more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from unstuck.loop import fit
from unstuck.loop.norms import norm
from unstuck.loop.stages import take_step
from unstuck.measure.operations import Operations, Origin
from unstuck.measure.preparation import Prepared, Trained
from unstuck.measure.protocol import NotMeasurable
from unstuck.quantity import Threshold
from unstuck.setup import Batch, Setup
from unstuck.setup.private import Memo, private

GROWN: Final = Threshold(
    10.0,
    "times the norm of the weights at the start",
    "ten: a divergence grows by such a factor every few steps until it overflows, and passes it long before it does",
)

BEFORE: Final = 1
"""Steps before the one whose loss was no number that are looked at too: its weights came from there."""


@final
@dataclass(frozen=True, slots=True)
class NumericalFailure:
    """The operation with which a run ended in NaN or infinity.

    Attributes:
        happened: Whether the run ended so, in its loss or in its weights; nothing else means anything where it did not.
        step: Number of steps done before the one in which it began; -1 where that was not found.
        steps: Number of steps of the run.
        stage: "data", "forward", "loss", "backward" or "optimizer"; "" where it was not found.
        module: Path of the innermost module, "" outside of all.
        operation: Such as "log"; in the backward pass the one whose derivative it is.
        place: The line of the user's own source, as "file.py:12", or "".
        made: "NaN" or "infinity".
        dtype: Of what it made, such as "float32".
        largest: The largest magnitude among the numbers that it took.
        bound: Magnitude from which products overflow: the fourth root of the largest number of that dtype.
        growth: Norm of the weights before that step over their norm at the start; NaN where they started at zero.
    """

    cost: ClassVar[float] = 1.0

    happened: bool
    step: int
    steps: int
    stage: str
    module: str
    operation: str
    place: str
    made: str
    dtype: str
    largest: float
    bound: float
    growth: float

    @classmethod
    def measure(cls, prepared: Prepared, trained: Trained) -> NumericalFailure:
        """Take the steps of the run again, and look at every operation of the last two.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If the run does not fail again when it is repeated.
        """
        record = trained.run.record
        steps = len(record.losses)
        showed = record.stopped == "non-finite"
        if not showed and _finite(list(trained.run.model.parameters())):
            return cls(False, -1, steps, "", "", "", "", "", "", math.nan, math.nan, math.nan)
        ledger = replay(prepared.setup, steps, steps - 1 - BEFORE) if showed else Ledger(began_before=True)
        if ledger.began_before:  # in weights that the loss did not show at once; `torch.where` may keep them from it
            broke = replay(prepared.setup, steps, steps).broke_at
            ledger = replay(prepared.setup, broke + 1, broke) if broke >= 0 else Ledger()
        if ledger.broke_at < 0:
            raise NotMeasurable("the run ended in no finite loss, but did not do so again when it was repeated")
        found = ledger.origin or Origin("", "", "", "", "", "float32", math.nan)
        bound = torch.finfo(getattr(torch, found.dtype)).max ** 0.25
        return cls(
            True,
            ledger.broke_at,
            steps,
            found.stage,
            found.module,
            found.operation,
            found.place,
            found.made,
            found.dtype,
            found.largest,
            bound,
            ledger.growth,
        )

    @property
    def is_overflow(self) -> bool:
        """Whether the operation only took numbers that were too large already."""
        return self.largest >= self.bound

    @property
    def began_there(self) -> bool:
        """Whether the operation was given ordinary numbers, so that the failure is its own and not a divergence's."""
        return self.happened and bool(self.operation) and not (self.is_overflow or self.growth >= GROWN.value)


@final
@dataclass(eq=False)
class Ledger:
    """What was seen of a run that was repeated.

    Attributes:
        broke_at: Number of the step after which the loss or the weights were not finite, or -1.
        origin: Whence, where that step was looked at and it was seen.
        growth: Norm of the weights before that step over their norm at the start.
        began_before: Whether weights were not finite before the first step that was looked at.
    """

    broke_at: int = -1
    origin: Origin | None = None
    growth: float = math.nan
    began_before: bool = False
    _start: float = math.nan

    def __deepcopy__(self, memo: Any) -> Ledger:
        """A run's private copy of the step writes into the same ledger."""
        return self


def replay(setup: Setup, steps: int, watch_from: int) -> Ledger:
    """Repeat a run, and look at every operation of its last steps.

    Args:
        setup: What was trained.
        steps: Steps to take.
        watch_from: First step that is looked at; from `steps` on, only the weights are, after each step.

    Returns:
        What was seen.
    """
    ledger = Ledger()
    step = _Watched(setup, ledger, max(0, watch_from), check=watch_from >= steps)
    needs_validation = setup.schedule_every == "plateau"
    fit(replace(setup, train_step=step, early_stopping=False), steps=steps, validate=needs_validation)
    return ledger


@final
@dataclass(eq=False)
class _Watched:
    """A set-up's own step, with every operation looked at from some step on."""

    setup: Setup
    ledger: Ledger
    watch_from: int
    check: bool
    calls: int = field(default=0)

    def __deepcopy__(self, memo: Memo) -> _Watched:
        """A copy with private copies of the user's functions, which shares the data."""
        given = self.setup
        own = replace(
            given,
            loss=private(given.loss, memo),
            forward=private(given.forward, memo),
            train_step=private(given.train_step, memo),
        )
        return _Watched(own, self.ledger, self.watch_from, self.check, self.calls)

    def __call__(self, model: nn.Module, optimizer: Optimizer, batch: Batch) -> Tensor:
        number, self.calls = self.calls, self.calls + 1
        ledger, weights = self.ledger, list(model.parameters())
        if number == 0:
            ledger._start = norm(weights)
        if number == self.watch_from and not _finite(weights):
            ledger.began_before = True
        if ledger.began_before:
            return torch.tensor(math.nan)  # nothing more is to be seen
        growth = norm(weights) / ledger._start if ledger._start > 0.0 else math.nan
        if number < self.watch_from:
            loss = take_step(self.setup, model, optimizer, batch)
            if self.check and not (_finite(weights) and _finite([loss])):
                ledger.broke_at, ledger.growth = number, growth
                return torch.tensor(math.nan)  # the run has shown what was asked for
            return loss
        seen = Operations()
        with seen.around(model, optimizer, batch):
            loss = take_step(self.setup, model, optimizer, batch)
        broken = [tensor for tensor in (loss, *weights) if not _finite([tensor])]
        if broken:
            ledger.broke_at, ledger.growth = number, growth
            origins = [seen.origin(tensor) for tensor in broken]
            ledger.origin = next((origin for origin in origins if origin is not None), seen.first())
        return torch.tensor(math.nan) if broken else loss


def _finite(tensors: Sequence[Tensor]) -> bool:
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors if tensor.is_floating_point())
