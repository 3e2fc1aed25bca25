"""What is recorded of every step, its loss and its rate, and of every epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, final

import torch
from torch import Tensor

from unstuck.recording import RecordWriter
from unstuck.watching.losses import UNSEEN

READ_TOGETHER: Final = 64
"""Steps whose losses are read from the device at once."""

STEP_COLUMNS: Final = (("loss", ""), ("rate", ""))


@final
class Steps:
    """Losses and rates of the steps, read from the device some at a time, and what epochs make of them.

    Attributes:
        waiting: Number, loss and rate of each step whose loss has not been read.
    """

    def __init__(self, writer: RecordWriter | None) -> None:
        """Know of no step yet.

        Args:
            writer: Of the record; None where nothing is written.
        """
        self.waiting: list[tuple[int, Any, Any]] = []
        self._writer = writer
        self._epoch = 0
        self._sum, self._count = 0.0, 0
        self._validation = math.nan
        self._ended: tuple[int, int, dict[str, float]] | None = None

    @property
    def is_due(self) -> bool:
        """Whether it is time to `drain`."""
        return len(self.waiting) >= READ_TOGETHER or (self._writer is not None and self._writer.due)

    def drain(self) -> int:
        """Read the losses that wait and hand them to the record.

        Returns:
            The first step among them whose loss was no finite number, -1 where there was none.
        """
        waiting, self.waiting = self.waiting, []
        if not waiting:
            return -1
        steps: list[int] = []
        rows: list[float] = []
        tensors = [loss for _, loss, _ in waiting if isinstance(loss, Tensor)]
        read = iter(torch.stack([each.float() for each in tensors]).tolist() if tensors else ())
        broken = -1
        for step, loss, rate in waiting:
            value = next(read) if isinstance(loss, Tensor) else loss
            if math.isfinite(value):
                self._sum += value
                self._count += 1
            elif broken < 0 and value is not UNSEEN:
                broken = step
            if value is not UNSEEN:
                steps.append(step)
                rows += value, float(rate)
            elif self._writer is not None:
                self._writer.add(STEP_COLUMNS[1:], step, (float(rate),))
        if self._writer is not None:
            self._writer.extend(STEP_COLUMNS, steps, rows)
            if self._writer.due:
                self._writer.flush()
        return broken

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """Record numbers of a step by name."""
        self._validation = numbers.get("validation_loss", self._validation)
        if numbers and self._writer is not None:
            self._writer.log(step, numbers)

    def validated(self, step: int, loss: float) -> None:
        """Record the mean loss of an evaluation, made after so many steps."""
        if self._writer is None:
            return
        self._writer.log(step, {"validation_loss": loss})
        if self._ended is not None and self._ended[1] == step:  # evaluated after the epoch had ended
            number, ended, measured = self._ended
            self._writer.epoch(number, ended, {"validation_loss": loss, **measured})
        else:
            self._validation = loss

    def end_epoch(self, step: int, numbers: dict[str, float]) -> None:
        """Record the end of an epoch, after so many steps; what is not measured is filled in where it is known."""
        self._epoch += 1
        if self._count:
            numbers.setdefault("training_loss", self._sum / self._count)
        if not math.isnan(self._validation):
            numbers.setdefault("validation_loss", self._validation)
        self._sum, self._count, self._validation = 0.0, 0, math.nan
        self._ended = self._epoch, step, numbers
        if self._writer is not None:
            self._writer.epoch(*self._ended)
