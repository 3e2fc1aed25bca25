"""The statistics against slow twins, closed forms and simulated coverage."""

from __future__ import annotations

import itertools
import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from unstuck import stats
from unstuck.quantity import Interval

NUMBERS = st.floats(-1e6, 1e6)
ANYTHING = st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=20)


@given(st.lists(NUMBERS, min_size=2, max_size=20))
def test_mean_interval_is_the_textbook_t_interval(values: list[float]) -> None:
    found = stats.mean_interval(values)
    spread = statistics.stdev(values) / math.sqrt(len(values))
    half = float(scipy_stats.t.ppf(0.975, len(values) - 1)) * spread
    assert found.low == pytest.approx(statistics.mean(values) - half, rel=1e-6, abs=1e-6)
    assert found.high == pytest.approx(statistics.mean(values) + half, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, math.nan], [1.0, math.inf, 2.0]])
def test_what_cannot_be_estimated_is_unbounded(values: list[float]) -> None:
    everything = Interval(-math.inf, math.inf)
    assert stats.mean_interval(values) == everything
    assert stats.trend(values).interval == everything


@settings(max_examples=40, deadline=None)
@given(ANYTHING)
def test_total_and_ordered_on_anything(values: list[float]) -> None:
    for interval in (
        stats.mean_interval(values),
        stats.paired_interval(values, values[::-1]),
        stats.trend(values).interval,
    ):
        assert interval.low <= interval.high or math.isnan(interval.low)
    noise = stats.block_noise(values)
    assert math.isnan(noise) or noise >= 0.0


def test_paired_interval_is_that_of_the_differences() -> None:
    before, after = [3.0, 5.0, 9.0, 1.0], [2.5, 4.0, 8.5, 0.5]
    assert stats.paired_interval(before, after) == stats.mean_interval([-0.5, -1.0, -0.5, -0.5])
    assert stats.paired_interval(before, after).high < 0.0
    with pytest.raises(ValueError, match="zip"):
        stats.paired_interval([1.0], [1.0, 2.0])


def test_mean_interval_covers_as_often_as_it_says() -> None:
    generator = np.random.default_rng(1)
    hits = sum(2.0 in stats.mean_interval(generator.normal(2.0, 3.0, 4).tolist()) for _ in range(2000))
    assert 0.935 < hits / 2000 < 0.965


@given(st.integers(0, 300), st.integers(1, 300))
def test_wilson_against_the_inverted_score_test(successes: int, trials: int) -> None:
    successes = min(successes, trials)
    found = stats.wilson_interval(successes, trials)
    assert 0.0 <= found.low <= successes / trials <= found.high <= 1.0
    z = float(scipy_stats.norm.ppf(0.975))
    for end in (found.low, found.high):
        if 0.0 < end < 1.0:
            distance = abs(successes / trials - end) / math.sqrt(end * (1.0 - end) / trials)
            assert distance == pytest.approx(z, rel=1e-6)


def test_wilson_refuses_nonsense() -> None:
    assert stats.wilson_interval(0, 0) == Interval(0.0, 1.0)
    for successes, trials in ((3, 2), (-1, 5)):
        with pytest.raises(ValueError, match="between 0 and trials"):
            stats.wilson_interval(successes, trials)


@settings(max_examples=50, deadline=None)
@given(st.lists(NUMBERS, min_size=3, max_size=30))
def test_trend_is_the_median_of_all_pairwise_slopes(values: list[float]) -> None:
    pairs = itertools.combinations(enumerate(values), 2)
    slow = statistics.median((right - left) / (j - i) for (i, left), (j, right) in pairs)
    found = stats.trend(values)
    assert found.slope == pytest.approx(slow, rel=1e-9, abs=1e-9)
    assert found.slope in found.interval


def test_trend_of_a_long_series_keeps_its_unit_and_ignores_outliers() -> None:
    steps = np.arange(5003)
    values = 3.0 - 2e-4 * steps + np.random.default_rng(0).normal(0.0, 0.05, 5003)
    values[::100] += 50.0
    found = stats.trend(values.tolist())
    assert found.slope == pytest.approx(-2e-4, rel=0.05)
    assert 0.0 not in found.interval


def test_trend_of_noise_is_covered() -> None:
    generator = np.random.default_rng(3)
    hits = sum(0.0 in stats.trend(generator.normal(size=40).tolist()).interval for _ in range(400))
    assert 0.92 < hits / 400 < 0.98


@pytest.mark.parametrize("sigma", [0.01, 0.3])
def test_noise_of_a_falling_curve_with_spikes(sigma: float) -> None:
    steps = np.arange(600)
    curve = 2.0 * np.exp(-steps / 90.0) + np.random.default_rng(0).normal(0.0, sigma, 600)
    curve[::60] += 5.0
    assert stats.block_noise(curve.tolist()) == pytest.approx(sigma, rel=0.2)


def test_noise_of_a_straight_line_is_none() -> None:
    assert stats.block_noise([1.0, 0.75, 0.5, 0.25]) == 0.0
    assert math.isnan(stats.block_noise([1.0, 2.0]))
    assert math.isnan(stats.block_noise([1.0, math.nan, 2.0]))


def test_area_deviation_at_one_half_is_that_of_mann_whitney() -> None:
    for positives, negatives in ((10, 20), (200, 300)):
        exact = math.sqrt((positives + negatives + 1) / (12 * positives * negatives))
        assert stats.area_deviation(0.5, positives, negatives) == pytest.approx(exact)


@given(st.floats(0.0, 1.0), st.integers(2, 500), st.integers(2, 500))
def test_area_interval_agrees_with_the_p_value(area: float, positives: int, negatives: int) -> None:
    found = stats.area_interval(area, positives, negatives)
    assert 0.0 <= found.low <= area <= found.high <= 1.0
    p = 2.0 * float(scipy_stats.norm.sf(abs(area - 0.5) / stats.area_deviation(0.5, positives, negatives)))
    if abs(p - 0.05) > 1e-3:
        assert (0.5 in found) == (p > 0.05)


def test_area_interval_covers() -> None:
    generator = np.random.default_rng(4)
    truth = float(scipy_stats.norm.cdf(1.0 / math.sqrt(2.0)))
    hits = 0
    for _ in range(400):
        left, right = generator.normal(0.0, 1.0, 40), generator.normal(1.0, 1.0, 60)
        area = float((right[:, None] > left).mean())
        hits += truth in stats.area_interval(area, 60, 40)
    assert hits / 400 > 0.92
