"""The difference of two mean scores, with an interval that knows of samples and of seeds. Pure."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from unstuck.quantity import Interval
from unstuck.stats import UNBOUNDED

RESAMPLES: Final = 999
"""Draws of the bootstrap."""

MOST_DRAWN: Final = 2_000_000
"""Draws held in memory at once."""

Array = np.ndarray[Any, Any]


def difference(upper: Array, lower: Array, left_upper: float = 1.0, left_lower: float = 1.0) -> tuple[float, Interval]:
    """Mean of one split above that of another, over seeds, with its interval by the studentised bootstrap.

    Hall, "Theoretical comparison of bootstrap confidence intervals", Annals of Statistics 16 (1988): samples are
    drawn anew within each split, and the difference over its own standard error gives the quantiles. Seeds enter as a
    normal deviation whose variance is estimated from as many values as there are seeds (Student 1908).

    Args:
        upper: Score of each seed on each sample of one split, `[S, N]`.
        lower: Likewise of the other, `[S, M]`.
        left_upper: Share of that split that was not looked at (1 where it is a sample of a distribution, 0 where the
            split itself is meant and all of it was seen): scales its sampling variance (Cochran 1977).
        left_lower: Likewise.

    Returns:
        The difference and its interval; infinite where a split has fewer than two samples or a score is not finite.
    """
    value = float(upper.mean() - lower.mean()) if upper.size and lower.size else math.nan
    if not np.isfinite(upper).all() or not np.isfinite(lower).all() or min(upper.shape[1], lower.shape[1]) < 2:
        return value, UNBOUNDED
    seeds, between = _between(upper, lower)
    generator = np.random.default_rng(0)
    first, second = upper.mean(0), lower.mean(0)
    own = math.sqrt(
        left_upper * first.var(ddof=1) / len(first) + left_lower * second.var(ddof=1) / len(second) + between
    )
    if own == 0.0:
        return value, Interval(value, value)
    shift, variance = np.zeros(RESAMPLES), np.zeros(RESAMPLES)
    for split, left, sign in ((first, left_upper, 1.0), (second, left_lower, -1.0)):
        if left > 0.0:
            means, variances = _resampled(split, generator)
            shift += sign * math.sqrt(left) * (means - split.mean())
            variance += left * variances / len(split)
    if seeds > 1:
        shift += generator.standard_normal(RESAMPLES) * math.sqrt(between)
        variance += between * generator.chisquare(seeds - 1, RESAMPLES) / (seeds - 1)
    scaled = shift / np.sqrt(np.maximum(variance, 1e-4 * own**2))
    low, high = np.quantile(scaled, [0.025, 0.975])
    return value, Interval(value - max(0.0, float(high)) * own, value - min(0.0, float(low)) * own)


def difference_of_shares(
    upper: Array, lower: Array, left_upper: float = 1.0, left_lower: float = 1.0
) -> tuple[float, Interval]:
    """The same for shares of wrong answers.

    Agresti & Caffo, "Simple and effective confidence intervals for proportions and differences of proportions",
    American Statistician 54 (2000): one right and one wrong answer are added to each sample; with the seeds' variance,
    and the degrees of freedom of both together (Satterthwaite 1946).

    Args:
        upper: 0 where right and 1 where wrong, `[S, N]`.
        lower: Likewise, `[S, M]`.
        left_upper: As in `difference`.
        left_lower: Likewise.

    Returns:
        The difference and its interval.
    """
    from scipy.special import stdtrit

    value = float(upper.mean() - lower.mean()) if upper.size and lower.size else math.nan
    if not math.isfinite(value):
        return value, UNBOUNDED
    seeds, between = _between(upper, lower)
    middle, sampling = 0.0, 0.0
    for split, left, sign in ((upper.mean(0), left_upper, 1.0), (lower.mean(0), left_lower, -1.0)):
        padded = np.concatenate([split, [0.0, 1.0]]) if left > 0.0 else split
        middle += sign * float(padded.mean())
        sampling += left * float(padded.var(ddof=0)) / len(padded)
    total = sampling + between
    if total == 0.0:
        return value, Interval(value, value)
    freedom = total**2 / (between**2 / (seeds - 1)) if seeds > 1 and between > 0.0 else math.inf
    half = float(stdtrit(min(freedom, 1e6), 0.975)) * math.sqrt(total)
    return value, Interval(min(value, middle - half), max(value, middle + half))


def _between(upper: Array, lower: Array) -> tuple[int, float]:
    """Number of seeds, and the variance of the mean over them."""
    each = upper.mean(1) - lower.mean(1)
    return len(each), float(each.var(ddof=1)) / len(each) if len(each) > 1 else 0.0


def _resampled(values: Array, generator: np.random.Generator) -> tuple[Array, Array]:
    """Mean and variance of samples drawn with replacement, each `[RESAMPLES]`."""
    means, variances = list[Array](), list[Array]()
    at_once = max(1, MOST_DRAWN // len(values))
    for start in range(0, RESAMPLES, at_once):
        rows = min(at_once, RESAMPLES - start)
        drawn = values[generator.integers(len(values), size=(rows, len(values)))]
        means.append(drawn.mean(1))
        variances.append(drawn.var(1, ddof=1))
    return np.concatenate(means), np.concatenate(variances)
