"""Whether a simple map of the test inputs stands between a large test loss and a small held-out one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final, final

from unstuck.measure.comparison import LARGE, Comparison
from unstuck.measure.gap import gap
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.two_sample import MapFit, TwoSample

LEFT: Final = 0.05
"""Share of the area above one half that a map may leave: it is fitted to a few hundred samples. On the
bases that were looked at, maps that were applied left none, and of inputs that were drawn elsewhere the best left 0.26
or more, but 0.09 where the targets lie symmetrically: a small margin, and not measured over the whole benchmark."""


@final
@dataclass(frozen=True, slots=True)
class InputShift:
    """The gap to the test data, and where it is large, what tells the test inputs apart.

    Attributes:
        gap: (test − held-out loss) / span from the best constant; NaN without a test split.
        gap_low: Lower end of its 95 % interval.
        gap_high: Upper end.
        auc: Area under the ROC curve of telling training from test inputs; NaN where it was not asked, because the
            gap is small, or could not be told.
        auc_low: Lower end of its 95 % interval.
        maps: Maps after which inputs and targets can hardly be told from those of training, the simplest first.
        nearest: Lower end of the interval of the area, targets looked at as well, after the map that does best;
            NaN where there is none.
        reason: Why the area could not be told, or "".
    """

    cost: ClassVar[float] = 0.5

    gap: float
    gap_low: float
    gap_high: float
    auc: float
    auc_low: float
    maps: tuple[MapFit, ...]
    reason: str = ""
    nearest: float = math.nan

    @classmethod
    def measure(cls, comparison: Comparison, two_sample: Callable[[], TwoSample]) -> InputShift:
        """Ask the two-sample test where the gap is large.

        Args:
            comparison: Where the run as given stands.
            two_sample: Measured only where it is asked.

        Returns:
            The gap, and what may explain it.

        Raises:
            NotMeasurable: If there is no test split.
        """
        if comparison.given.test is None:
            raise NotMeasurable("no test data were given")
        found = gap(comparison, "test", "held_out")
        low = -math.inf if found.low is None else found.low
        high = math.inf if found.high is None else found.high
        nothing = cls(found.value, low, high, math.nan, math.nan, ())
        if not found.value >= LARGE.value or low <= 0.0:
            return nothing
        try:
            sample = two_sample()
        except NotMeasurable as error:
            return cls(found.value, low, high, math.nan, math.nan, (), str(error))
        limit = 0.5 + LEFT * (sample.low - 0.5)
        helping = tuple(fit for fit in sample.maps if fit.auc_after < sample.low and fit.whole_low <= limit)
        nearest = min((fit.whole_low for fit in sample.maps), default=math.nan)
        return cls(found.value, low, high, sample.auc, sample.low, helping, nearest=nearest)
