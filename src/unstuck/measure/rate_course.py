"""The course of the rate over the run as given, and what the loss did under it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

from unstuck.loop import RunRecord
from unstuck.measure.course import running_median
from unstuck.measure.history import History
from unstuck.stats import block_noise

DWINDLED: Final = 0.01
"""Share of the highest rate below which a step hardly counts."""

EARLY: Final = 0.1
"""Share of the run in which a warm-up would be."""


@final
@dataclass(frozen=True, slots=True)
class RateCourse:
    """What the schedule did.

    Attributes:
        steps: Number of steps.
        highest: Highest rate.
        first: Rate of the first step, as a share of the highest.
        last: Rate of the last step, likewise.
        full_steps: Sum of all rates over the highest: as many steps at that rate would go as far.
        dwindled_at: First step after the highest from which on the rate stays below `DWINDLED` of it, or -1.
        bounce: Scatter of the validation loss from epoch to epoch over the second half, always on the same samples;
            NaN where there are too few epochs.
        spike: Highest loss of the first tenth, smoothed over a few steps.
    """

    cost: ClassVar[float] = 0.0

    steps: int
    highest: float
    first: float
    last: float
    full_steps: float
    dwindled_at: int
    bounce: float
    spike: float

    @classmethod
    def measure(cls, history: History) -> RateCourse:
        """Read it from the record."""
        return rate_course_of(history.record)

    @property
    def full_share(self) -> float:
        """Share of the steps that the run is worth at its highest rate: 1 where it is constant, ½ for a cosine."""
        return self.full_steps / self.steps if self.steps else math.nan

    @property
    def is_constant_late(self) -> bool:
        """Whether the rate does not decay: it ends no lower than at half of its highest."""
        return self.last >= 0.5


def rate_course_of(record: RunRecord) -> RateCourse:
    """Sum up a record."""
    rates = [rate if math.isfinite(rate) and rate >= 0.0 else math.nan for rate in record.rates]
    known = [rate for rate in rates if rate == rate]
    highest = max(known, default=math.nan)
    shares = [rate / highest if highest > 0.0 and rate == rate else math.nan for rate in rates]
    large = [step for step, share in enumerate(shares) if not share < DWINDLED]
    dwindled = large[-1] + 1 if large and large[-1] + 1 < len(shares) else -1
    late = record.validation_losses[len(record.validation_losses) // 2 :]
    early = record.losses[: max(1, round(EARLY * len(record.losses)))]
    return RateCourse(
        steps=len(rates),
        highest=highest,
        first=shares[0] if shares else math.nan,
        last=shares[-1] if shares else math.nan,
        full_steps=sum(share for share in shares if share == share),
        dwindled_at=dwindled,
        bounce=block_noise(late),
        spike=max(running_median(early)[1:], default=math.nan),
    )
