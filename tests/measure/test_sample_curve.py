"""The curve over the number of samples: the power law, its interval, and what it takes to measure it."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstuck import patients
from unstuck.loop import fit
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.sample_curve import PowerLaw, extrapolated, power_law, sample_curve

SIZES = (40, 40, 80, 80, 160, 160, 320)


def losses(law: PowerLaw, sizes: Sequence[int] = SIZES, noise: float = 0.0, seed: int = 0) -> list[float]:
    draws = np.random.default_rng(seed).standard_normal(len(sizes))
    return [law.at(size) * (1.0 + noise * draw) for size, draw in zip(sizes, draws, strict=True)]


@pytest.mark.parametrize("power", [0.3, 0.5, 1.0])
def test_a_power_law_is_found_again(power: float) -> None:
    truth = PowerLaw(0.4, 6.0, power)
    found = power_law(SIZES, losses(truth))
    assert found.power == pytest.approx(power)
    assert found.floor == pytest.approx(0.4, abs=1e-6) and found.scale == pytest.approx(6.0, rel=1e-6)


def test_samples_for_a_loss_is_the_inverse() -> None:
    law = PowerLaw(0.2, 3.0, 0.5)
    assert law.at(law.samples_for(0.35)) == pytest.approx(0.35)
    assert law.samples_for(0.2) == math.inf
    assert PowerLaw(0.2, 0.0, 0.5).samples_for(0.3) == math.inf


def test_a_level_curve_has_nothing_to_gain() -> None:
    found = extrapolated(SIZES, losses(PowerLaw(0.5, 0.0, 1.0), noise=0.01))
    assert found.expected - found.extrapolations[0].loss < 0.02
    rising = extrapolated(SIZES, [0.5, 0.5, 0.6, 0.6, 0.7, 0.7, 0.8])
    assert rising.expected == rising.extrapolations[0].loss


def test_the_last_doubling_is_what_was_measured() -> None:
    fall, low, high = extrapolated((20, 40, 40, 40, 80, 80, 80), (0.9, 0.70, 0.66, 0.74, 0.5, 0.52, 0.48)).last_doubling
    # Welch: standard error sqrt(0.0016 / 3 + 0.0004 / 3) = 0.02582, 2.94 degrees of freedom, t = 3.22
    assert (fall, low, high) == pytest.approx((0.2, 0.1169, 0.2831), abs=1e-3)
    alone = extrapolated((20, 20, 40, 40, 80), (0.9, 0.9, 0.7, 0.7, 0.5)).last_doubling
    assert alone == (pytest.approx(0.2), -math.inf, math.inf)
    same = extrapolated((20, 20, 40, 40, 80, 80), (0.9, 0.9, 0.7, 0.7, 0.5, 0.5)).last_doubling
    assert same == (pytest.approx(0.2), pytest.approx(0.2), pytest.approx(0.2))


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    truth = PowerLaw(0.3, 5.0, 0.5)
    held = 0
    for seed in range(40):
        found = extrapolated(SIZES, losses(truth, noise=0.05, seed=seed)).extrapolations[0]
        held += found.low <= truth.at(640) <= found.high
    assert held >= 34  # 95 % of 40 is 38; fewer than 34 would be chance in one of a hundred cases


@given(st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=7))
def test_it_is_total_and_never_rises(values: list[float]) -> None:
    law = power_law(SIZES[-len(values) :], values)
    assert law.scale >= 0.0 and law.at(1000.0) <= law.at(100.0) + 1e-9 * abs(law.floor)
    if min(values) >= 0.0:
        assert law.floor >= 0.0


def test_it_is_measured_by_training_on_parts() -> None:
    setup = patients.shells(epochs=6)
    found = sample_curve(setup, fit(setup).validation_losses, seconds=60.0)
    assert list(found.sizes) == [*2 * [40], *2 * [80], *5 * [160], *5 * [320]]
    assert [each.samples for each in found.extrapolations] == [640, 1280, 3200]
    few, half, many = (
        np.mean([loss for size, loss in zip(found.sizes, found.losses, strict=True) if size == n])
        for n in (40, 160, 320)
    )
    assert few > 2.0 * many
    assert found.last_doubling[0] == pytest.approx(half - many)
    assert all(each.low <= each.loss <= each.high for each in found.extrapolations)


def test_it_needs_samples_in_memory_and_time() -> None:
    setup = patients.shells(epochs=2)
    with pytest.raises(NotMeasurable, match="held-out loss"):
        sample_curve(replace(setup, validation=None), (1.0,), seconds=10.0)
    with pytest.raises(NotMeasurable, match="three sizes"):
        sample_curve(setup, (1.0,), seconds=-1.0)
