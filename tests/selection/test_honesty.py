"""How far a chosen score can be believed: against what is known by construction."""

from __future__ import annotations

import math

import numpy as np
import pytest

from unstuck.honesty import (
    bias_over_folds,
    bootstrap_of_selection,
    chance_of_misleading,
    distance_bound,
    leaderboard,
    one_standard_error,
    samples_needed,
)


def test_bound_is_that_of_hoeffding_with_the_union_over_candidates() -> None:
    assert chance_of_misleading(10, 100, 0.1) == pytest.approx(20 * math.exp(-2.0))
    assert chance_of_misleading(10, 100, distance_bound(10, 100)) == pytest.approx(0.05)
    needed = samples_needed(10, 0.05)
    assert distance_bound(10, needed) <= 0.05 < distance_bound(10, needed - 1)
    assert distance_bound(3, 0) == math.inf


def test_bound_holds_in_truth() -> None:
    draws, limit = np.random.default_rng(0), distance_bound(20, 50)
    worst = [np.abs((draws.random((20, 50)) < 0.3).mean(1) - 0.3).max() for _ in range(200)]
    assert np.mean(np.asarray(worst) <= limit) >= 0.95


def test_many_equal_candidates_flatter_by_what_the_bootstrap_says() -> None:
    draws, held = np.random.default_rng(1), 0
    for _ in range(60):
        errors = (draws.random((30, 100)) < 0.3).astype(float)
        found = bootstrap_of_selection(errors)
        held += 0.3 - errors.mean(1).min() in found.interval
        assert found.value > 0.02
    assert held >= 54


def test_one_candidate_flatters_nothing() -> None:
    found = bootstrap_of_selection(np.random.default_rng(2).random((1, 400)))
    assert abs(found.value) < 0.01


def test_what_cannot_be_told_is_no_number() -> None:
    assert math.isnan(bootstrap_of_selection(np.ones((2, 3))).value)
    assert math.isnan(bootstrap_of_selection(np.full((2, 30), math.nan)).value)
    assert math.isnan(leaderboard(np.ones((2, 3))).public)
    assert math.isnan(bias_over_folds(np.empty((0, 0))))


def test_bias_over_folds_is_the_mean_regret_of_the_chosen() -> None:
    assert bias_over_folds(np.array([[1.0, 3.0], [2.0, 2.5]])) == pytest.approx(((1 - 1) + (3 - 2.5)) / 2)


def test_smallest_within_one_standard_error_is_taken() -> None:
    means = np.array([0.30, 0.21, 0.20, math.nan])
    assert one_standard_error(means, 0.02, np.array([1.0, 10.0, 100.0, 0.1])) == 1
    assert one_standard_error(means, 0.005, np.array([1.0, 10.0, 100.0, 0.1])) == 2
    with pytest.raises(ValueError, match="finite"):
        one_standard_error(np.array([math.nan]), 0.1, np.array([1.0]))


def test_a_leaderboard_of_equals_is_won_by_chance_and_of_unequals_by_merit() -> None:
    draws = np.random.default_rng(3)
    equal = leaderboard((draws.random((10, 300)) < 0.3).astype(float))
    assert equal.private - equal.public > 0.02 and equal.same_winner < 0.4
    merit = np.stack([(draws.random(300) < rate).astype(float) for rate in (0.05, 0.5, 0.6)])
    assert leaderboard(merit).same_winner == 1.0
