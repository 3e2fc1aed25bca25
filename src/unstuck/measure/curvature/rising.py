"""How steeply the training loss rises around the weights that the run ends with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

from unstuck.errors import UnstuckError
from unstuck.measure.comparison import Comparison
from unstuck.measure.curvature.lines import sharpness
from unstuck.measure.curvature.training import surface_of
from unstuck.measure.gap import gap
from unstuck.measure.preparation import Prepared, Trained
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup.model import copy_together
from unstuck.setup.randomness import isolated, one_thread

SAMPLES: Final = 512

DISTANCE: Final = 0.2
"""In filter norms: at a tenth, the losses of a handful of small runs had hardly risen. Not calibrated beyond those."""


@final
@dataclass(frozen=True, slots=True)
class Rising:
    """The training loss along random directions of the size of each filter, where the gap to held-out samples is large.

    H. Li et al., "Visualizing the loss landscape of neural nets", 2018: so measured, rescaling a layer changes nothing,
    which L. Dinh et al., "Sharp minima can generalize for deep nets", 2017, hold against plain eigenvalues.

    Attributes:
        gap: (held-out − training loss) / span from the best constant.
        gap_low: Lower end of its 95 % interval.
        gap_high: Upper end.
        rise: Mean rise of the loss at `DISTANCE`, as a share of that span; NaN where the gap is not large.
        deviation: Over the directions, likewise.
    """

    cost: ClassVar[float] = Comparison.cost + 0.2

    gap: float
    gap_low: float
    gap_high: float
    rise: float
    deviation: float

    @classmethod
    def measure(cls, prepared: Prepared, trained: Trained, comparison: Comparison) -> Rising:
        """Walk along the directions.

        Args:
            prepared: The set-up.
            trained: The run as given.
            comparison: Gives the span and the gap.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If the loss cannot be computed.
        """
        found = gap(comparison, "held_out", "training")
        low = -math.inf if found.low is None else found.low
        high = math.inf if found.high is None else found.high
        lowest = min(comparison.lowest("held_out"), comparison.given.training.loss)
        span = comparison.constant_held_out - lowest
        if not (found.value > 0.0 and span > 0.0 and math.isfinite(span)) or comparison.training_is_large:
            return cls(found.value, low, high, math.nan, math.nan)
        setup = prepared.setup
        try:
            with isolated(setup.seed), one_thread():
                surface = surface_of(setup, copy_together(trained.run.model, None)[0], setup.train.head(SAMPLES))
                walked = sharpness(surface, distances=(-DISTANCE, DISTANCE), seed=setup.seed)
        except UnstuckError as error:
            raise NotMeasurable(str(error)) from error
        rise = sum(walked.losses) / len(walked.losses) - walked.base
        return cls(found.value, low, high, rise / span, max(walked.deviation) / span)
