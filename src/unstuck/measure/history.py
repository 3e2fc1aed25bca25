"""The run as given, as a measurement; and whether the set-up repeats itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

from unstuck.loop import RunRecord, fit
from unstuck.measure.preparation import Prepared, Trained

PROBE_STEPS: Final = 3
"""Steps that are taken twice to see whether a set-up repeats itself."""


@final
@dataclass(frozen=True, slots=True)
class History:
    """What was recorded of the run as given.

    Attributes:
        record: The record.
    """

    cost: ClassVar[float] = 1.0

    record: RunRecord

    @classmethod
    def measure(cls, trained: Trained) -> History:
        """Take the record of the run."""
        return cls(trained.run.record)


@final
@dataclass(frozen=True, slots=True)
class Repeatability:
    """Whether the same seed gives the same losses.

    Attributes:
        repeats: Whether two short runs agree bit for bit.
        losses: Their losses, shape `[2][K]`.
    """

    cost: ClassVar[float] = 0.0

    repeats: bool
    losses: tuple[tuple[float, ...], tuple[float, ...]]

    @classmethod
    def measure(cls, prepared: Prepared) -> Repeatability:
        """Take a few steps twice."""
        first = fit(prepared.setup, steps=PROBE_STEPS, validate=False).losses
        again = fit(prepared.setup, steps=PROBE_STEPS, validate=False).losses
        return cls(repr(first) == repr(again), (first, again))
