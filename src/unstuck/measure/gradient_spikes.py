"""How the norm of the whole gradient goes over the run, and how it spikes."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from unstuck.measure.preparation import Trained
from unstuck.measure.protocol import NotMeasurable

EARLY: Final = 20
"""Steps whose median is the gradient's level at the start: later it shrinks with the loss."""

CLIP_AT: Final = 0.9
"""Quantile of the norms at which a gradient is clipped (Pascanu et al. 2013 look at such statistics of a run)."""


@final
@dataclass(frozen=True, slots=True)
class GradientSpikes:
    """Norms of the whole gradient at each step of the run as given.

    Attributes:
        steps: Steps whose norm is a finite number.
        median: Their median.
        early: Median of the first `EARLY` of them.
        largest: The largest.
        usual: The 90th percentile.
    """

    cost: ClassVar[float] = 1.0

    steps: int
    median: float
    early: float
    largest: float
    usual: float

    @classmethod
    def measure(cls, trained: Trained) -> GradientSpikes:
        """Read the record of the run.

        Args:
            trained: The run as given.

        Returns:
            The norms in short.

        Raises:
            NotMeasurable: If no step had a gradient that could be seen.
        """
        norms = [norm for norm in trained.run.record.gradient_norms if math.isfinite(norm)]
        if not norms:
            raise NotMeasurable("no finite gradient was seen at a step of the optimizer")
        return cls(
            len(norms),
            statistics.median(norms),
            statistics.median(norms[:EARLY]),
            max(norms),
            float(np.quantile(norms, CLIP_AT)),
        )

    @property
    def spike(self) -> float:
        """The largest norm over the level of the run: the larger of its median and that of its first steps."""
        level = max(self.median, self.early)
        return self.largest / level if level > 0.0 else 0.0
