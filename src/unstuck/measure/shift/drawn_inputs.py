"""Whether training inputs that are drawn anew at each reading are drawn where test inputs are not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from unstuck.errors import UnstuckError
from unstuck.measure.comparison import LARGE, Comparison
from unstuck.measure.features import inputs_of
from unstuck.measure.gap import gap
from unstuck.measure.learners import quietly
from unstuck.measure.preparation import Prepared
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.shift.drift import SIDE
from unstuck.measure.shift.permutation import compare
from unstuck.measure.two_sample import comparable
from unstuck.setup import Data, LoadedData
from unstuck.setup.randomness import isolated, one_thread, seeded


@final
@dataclass(frozen=True, slots=True)
class DrawnInputs:
    """Training inputs as they are drawn, and through the transform of the test data, against the test inputs.

    Attributes:
        gap: (test − training loss) / span from the best constant.
        low: Lower end of its 95 % interval.
        high: Upper end.
        drawn: Whether the training inputs differ from reading to reading.
        p_value: Of test inputs this different from the training inputs by chance; NaN where it was not asked, because
            the gap is small or nothing is drawn.
        area: Area under the ROC curve of telling them apart.
        plain_p_value: The same for training inputs that went through the transform of the test data.
        plain_area: Likewise.
        reason: Why the latter could not be told, or "".
    """

    cost: ClassVar[float] = 0.3

    gap: float
    low: float
    high: float
    drawn: bool
    p_value: float
    area: float
    plain_p_value: float
    plain_area: float
    reason: str = ""

    @classmethod
    def measure(cls, prepared: Prepared, comparison: Comparison) -> DrawnInputs:
        """Compare, where the gap asks for it.

        Args:
            prepared: The set-up with its splits.
            comparison: Where the run as given stands.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If there are no labelled test data.
        """
        train, test = prepared.setup.train, prepared.setup.test
        if comparison.given.test is None or test is None:
            raise NotMeasurable("no test data were given")
        found = gap(comparison, "test", "training")
        low = -math.inf if found.low is None else found.low
        high = math.inf if found.high is None else found.high
        with isolated(0):
            drawn = _is_drawn(train)
        blank = cls(found.value, low, high, drawn, math.nan, math.nan, math.nan, math.nan)
        if not drawn or not (found.value >= LARGE.value and low > 0.0):
            return blank
        assert isinstance(train, LoadedData)  # nothing else is drawn
        with isolated(0), one_thread(), quietly():
            theirs = inputs_of(test.head(SIDE))
            given = compare(*comparable(inputs_of(train.head(SIDE)), theirs, "test"))
            known = getattr(test, "transform", None)
            plain_p, plain_area, reason = math.nan, math.nan, ""
            if train.reread is None or known is None:
                reason = "the data sets have no attribute `transform`, so they cannot be read without it"
            else:
                try:
                    plain = compare(*comparable(inputs_of(train.through(known).head(SIDE)), theirs, "test"))
                    plain_p, plain_area = plain.p_value, plain.area
                except UnstuckError as error:
                    reason = str(error)
        return cls(found.value, low, high, drawn, given.p_value, given.area, plain_p, plain_area, reason)


def _is_drawn(data: Data) -> bool:
    """Whether two readings in the same order differ; each reads one batch."""
    if not isinstance(data, LoadedData):
        return False

    def first(seed: int) -> list[Tensor]:
        torch.manual_seed(seed)
        batch = next(iter(data.batches(seeded(0))), None)
        return [] if batch is None else inputs_of([batch])

    pairs = list(zip(first(0), first(1), strict=False))
    return any(one.shape != other.shape or not bool(torch.equal(one, other)) for one, other in pairs)
