"""Statistics: intervals, trends and noise levels. Pure functions; the same call gives the same answer.

Whatever cannot be estimated (too few values, a value that is NaN or infinite) has an infinite interval:
nothing then lies outside it, and a rule stays undecided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from unstuck.quantity import Interval

Values = Sequence[float]

UNBOUNDED: Final = Interval(-math.inf, math.inf)
"""The interval of what cannot be estimated."""

LARGEST: Final = 1e150
"""A value beyond this counts as infinite, as its square is."""

TREND_POINTS: Final = 400
"""Points of a series that a trend is fitted through at most; longer series are thinned, block by block."""

MAD_TO_DEVIATION: Final = 1.4826022185056018
"""1 / Φ⁻¹(3/4): the standard deviation of a normal distribution over its median absolute deviation."""


@final
@dataclass(frozen=True, slots=True)
class Trend:
    """A straight line through a series.

    Attributes:
        slope: Change from one value to the next.
        interval: Of the slope.
    """

    slope: float
    interval: Interval


def mean_interval(values: Values, confidence: float = 0.95) -> Interval:
    """Interval of the mean of independent values.

    Student, "The probable error of a mean", Biometrika 6 (1908): mean ± t · s / √n.

    Args:
        values: A sample.
        confidence: Share of such intervals that hold the true mean.

    Returns:
        The interval; infinite for fewer than two values.
    """
    if len(values) < 2 or not _usable(values):
        return UNBOUNDED
    from scipy.special import stdtrit

    count = len(values)
    mean = math.fsum(values) / count
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    half = float(stdtrit(count - 1, (1.0 + confidence) / 2.0)) * deviation / math.sqrt(count)
    return Interval(mean - half, mean + half)


def paired_interval(before: Values, after: Values, confidence: float = 0.95) -> Interval:
    """Interval of the mean of `after − before`, pair by pair (Student 1908, on the differences).

    Args:
        before: One value a pair.
        after: The other, in the same order.
        confidence: As in `mean_interval`.

    Returns:
        The interval; below 0 where `after` is lower.
    """
    return mean_interval([new - old for old, new in zip(before, after, strict=True)], confidence)


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Interval of a rate.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927): the
    rates from which the observed one is not further than z standard errors. Sound for few trials, and at 0
    and 1.

    Args:
        successes: How often it happened.
        trials: Out of how many.
        confidence: Share of such intervals that hold the true rate.

    Returns:
        The interval, within [0, 1].

    Raises:
        ValueError: If there are more successes than trials, or fewer than none.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"successes must lie between 0 and trials; got {successes} of {trials}")
    if trials == 0:
        return Interval(0.0, 1.0)
    z = _normal_quantile((1.0 + confidence) / 2.0)
    rate, share = successes / trials, z * z / trials
    centre = (rate + share / 2.0) / (1.0 + share)
    half = z * math.sqrt(rate * (1.0 - rate) / trials + share / (4.0 * trials)) / (1.0 + share)
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    return Interval(low, 1.0 if successes == trials else min(1.0, centre + half))


def trend(values: Values, confidence: float = 0.95) -> Trend:
    """Slope of a series, unmoved by outliers.

    Theil 1950 and Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA 63 (1968): the
    median slope over all pairs, with Sen's interval. A series of more than `TREND_POINTS` values is
    reduced to the medians of equal blocks first (what is left over at the front is dropped).

    Args:
        values: In order, evenly spaced.
        confidence: Share of such intervals that hold the true slope, if deviations are independent.

    Returns:
        The slope per value with its interval; infinite for fewer than three values.
    """
    if len(values) < 3 or not _usable(values):
        return Trend(math.nan, UNBOUNDED)
    import numpy as np
    from scipy import stats

    block = math.ceil(len(values) / TREND_POINTS)
    kept = np.asarray(values, dtype=float)[len(values) % block :]
    middles = np.median(kept.reshape(-1, block), axis=1)
    found = stats.theilslopes(middles, alpha=confidence)
    slope, low, high = (float(part) / block for part in (found[0], found[2], found[3]))
    return Trend(slope, Interval(min(low, slope), max(high, slope)))


def block_noise(losses: Values) -> float:
    """Standard deviation of a loss curve about its own smooth course.

    Gasser, Sroka & Jennen-Steinmetz, "Residual variance and residual pattern in nonlinear regression",
    Biometrika 73 (1986): each value is compared with the straight line between its neighbours, in blocks of
    three; the deviation of √(2/3) · (½ y₋ − y + ½ y₊) is that of the noise. It is taken from the median
    absolute value, so that a few spikes do not count.

    Args:
        losses: In order.

    Returns:
        The noise of one value; NaN for fewer than three finite values in a row.
    """
    import numpy as np

    curve = np.asarray(losses, dtype=float)
    if len(curve) < 3:
        return math.nan
    with np.errstate(invalid="ignore", over="ignore"):
        deviations = math.sqrt(2.0 / 3.0) * (curve[:-2] / 2.0 - curve[1:-1] + curve[2:] / 2.0)
    deviations = deviations[np.isfinite(deviations)]
    return MAD_TO_DEVIATION * float(np.median(np.abs(deviations))) if len(deviations) else math.nan


def area_deviation(area: float, positives: int, negatives: int, inflation: float = 1.0) -> float:
    """Standard deviation of the area under a ROC curve.

    Hanley & McNeil, "The meaning and use of the area under a receiver operating characteristic curve",
    Radiology 143 (1982). At an area of ½ it is exactly that of the Mann–Whitney statistic.

    Args:
        area: The true area.
        positives: Samples of one side.
        negatives: Samples of the other.
        inflation: Factor on the variance.

    Returns:
        The standard deviation.
    """
    first, second = area / (2.0 - area), 2.0 * area * area / (1.0 + area)
    spread = area * (1.0 - area) + (positives - 1) * (first - area**2) + (negatives - 1) * (second - area**2)
    return math.sqrt(max(0.0, spread) * inflation / (positives * negatives))


def area_interval(
    area: float, positives: int, negatives: int, inflation: float = 1.0, confidence: float = 0.95
) -> Interval:
    """Interval of the area under a ROC curve.

    Newcombe, "Confidence intervals for an effect size measure based on the Mann–Whitney statistic",
    Statistics in Medicine 25 (2006): the areas from which the observed one is not further than z standard
    deviations, the deviation taken at that area. It holds ½ exactly where the two-sided normal p-value
    exceeds 1 − confidence.

    Args:
        area: As observed.
        positives: Samples of one side.
        negatives: Samples of the other.
        inflation: Factor on the variance.
        confidence: Share of such intervals that hold the true area.

    Returns:
        The interval, within [0, 1].
    """
    z = _normal_quantile((1.0 + confidence) / 2.0)

    def inside(candidate: float) -> bool:
        return abs(area - candidate) <= z * area_deviation(candidate, positives, negatives, inflation)

    def end(outermost: float) -> float:
        within, beyond = area, outermost
        if inside(beyond):
            return beyond
        for _ in range(60):
            middle = (within + beyond) / 2.0
            within, beyond = (middle, beyond) if inside(middle) else (within, middle)
        return within

    return Interval(end(0.0), end(1.0))


def _usable(values: Values) -> bool:
    return all(abs(value) < LARGEST for value in values)  # false for NaN


def _normal_quantile(share: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(share)
