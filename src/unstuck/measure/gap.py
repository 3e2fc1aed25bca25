"""The loss on one split above that on another, as a share of the span. Pure."""

from __future__ import annotations

import math
from typing import Final

from unstuck.measure.comparison import Comparison
from unstuck.measure.scores import SplitScore
from unstuck.quantity import Quantity

ROUNDING: Final = 1e-6
"""Relative rounding of a mean of float32 losses (Higham 2002)."""


def gap(comparison: Comparison, upper: str, lower: str) -> Quantity:
    """The gap between two splits.

    Args:
        comparison: Where the run as given stands.
        upper: The split with the larger loss, such as "held_out".
        lower: The other, such as "training".

    Returns:
        The share of the span from the best constant down to the lowest loss known (of the constant's own size where
        there is no such span), with an interval from the spread over batches; NaN where a split is missing.
    """
    name = f"({upper.replace('_', '-')} − {lower.replace('_', '-')} loss) / span from the best constant"
    high: SplitScore | None = getattr(comparison.given, upper)
    low: SplitScore | None = getattr(comparison.given, lower)
    if high is None or low is None:
        return Quantity(name, math.nan)
    lowest = min(comparison.lowest("held_out"), comparison.given.training.loss)
    span = comparison.constant_held_out - lowest
    if not span > ROUNDING * abs(comparison.constant_held_out):  # nothing lies below the constant to be a share of
        span = max(abs(comparison.constant_held_out), 1e-12)
    value = (high.loss - low.loss) / span
    noise = 2.0 * math.hypot(_known(high.standard_error), _known(low.standard_error)) / span
    return Quantity(name, value, "1", value - noise, value + noise)


def _known(value: float) -> float:
    return value if math.isfinite(value) else 0.0
