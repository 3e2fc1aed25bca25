"""The learning curve over epochs: underfitting all along, overfitting from a critical epoch on, or from the first."""

from __future__ import annotations

import enum
import math
import statistics
from dataclasses import dataclass
from typing import ClassVar, Final, final

from unstuck.measure.preparation import Trained
from unstuck.measure.protocol import NotMeasurable
from unstuck.stats import block_noise

FEWEST: Final = 3
"""Epochs below which a curve has no course."""

END_SHARE: Final = 0.05
"""Share of the epochs whose median stands for the end, so that one noisy epoch does not."""

SURE: Final = 2.0
"""Standard deviations of the difference of two epochs that a rise must be worth to be one."""


class Course(enum.Enum):
    """How the held-out loss goes over the epochs."""

    UNDERFITTING = "always underfitting: it has not turned up"
    NORMAL = "normal: it falls to a critical epoch and rises from there"
    OVERFITTING = "always overfitting: it rises from the first epoch on"


@final
@dataclass(frozen=True, slots=True)
class EpochCurve:
    """Training and held-out loss of the run as given, epoch by epoch.

    The epoch of the lowest held-out loss is the critical one (L. Prechelt, "Early stopping – but when?", 1998). That
    the held-out loss has turned up is said only where the end lies above the lowest by more than single epochs stray
    from the curve's own course (T. Gasser, L. Sroka, C. Jennen-Steinmetz, "Residual variance and residual pattern in
    nonlinear regression", Biometrika 73, 1986).

    Attributes:
        training: Mean loss of the batches of each epoch, before their steps, shape `[E]`.
        held_out: Loss after each epoch, shape `[E]`.
        critical: Epoch of the lowest held-out loss, from 1.
        lowest: That loss.
        end: Median held-out loss of the last epochs; infinite where the run ended in no finite loss.
        noise: Standard deviation of one epoch's held-out loss about the course of the curve; NaN for fewer than three.
    """

    cost: ClassVar[float] = 1.0

    training: tuple[float, ...]
    held_out: tuple[float, ...]
    critical: int
    lowest: float
    end: float
    noise: float

    @property
    def rise(self) -> float:
        """From the lowest held-out loss to that at the end."""
        return self.end - self.lowest

    @property
    def doubt(self) -> float:
        """Half the width of the interval of the rise: what chance makes of the difference of two epochs."""
        return SURE * math.sqrt(2.0) * self.noise if math.isfinite(self.noise) else 0.0

    @property
    def course(self) -> Course:
        """What kind of curve it is."""
        if not self.rise > self.doubt:
            return Course.UNDERFITTING
        return Course.OVERFITTING if self.critical == 1 else Course.NORMAL

    @classmethod
    def measure(cls, trained: Trained) -> EpochCurve:
        """Read it off the run as given.

        Args:
            trained: The run.

        Returns:
            The curve.

        Raises:
            NotMeasurable: If there is no held-out loss, or too few epochs were finished.
        """
        record = trained.run.record
        return cls.of(record.epoch_losses(), record.validation_losses)

    @classmethod
    def of(cls, training: tuple[float, ...], held_out: tuple[float, ...]) -> EpochCurve:
        """Make it from losses by epoch.

        Args:
            training: Shape `[E]`, or longer by an epoch that was cut short.
            held_out: Shape `[E]`.

        Returns:
            The curve.

        Raises:
            NotMeasurable: If there are too few epochs, or none ended in a finite loss.
        """
        finite = [loss for loss in held_out if math.isfinite(loss)]
        if len(held_out) < FEWEST or not finite:
            raise NotMeasurable(f"a curve over epochs takes {FEWEST} of them with a held-out loss each")
        lowest = min(finite)
        last = held_out[-max(1, round(END_SHARE * len(held_out))) :]
        end = statistics.median([loss if math.isfinite(loss) else math.inf for loss in last])
        critical = held_out.index(lowest) + 1
        return cls(training[: len(held_out)], held_out, critical, lowest, end, block_noise(held_out))
