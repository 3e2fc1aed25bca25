"""Weights and class shares against those that are known exactly."""

from __future__ import annotations

import numpy as np

from unstuck.measure.shift.priors import by_confusion, by_expectation, calibration, softmax
from unstuck.measure.shift.ratio import capped, density_ratio, drawn


def test_the_ratio_of_two_normal_distributions_is_found() -> None:
    draws = np.random.default_rng(0)
    ours, theirs = draws.normal(size=(800, 2)), draws.normal(size=(800, 2)) + np.array([0.7, 0.0])
    true = np.exp(0.7 * ours[:, 0] - 0.7**2 / 2)
    found = density_ratio(ours, theirs)
    assert np.corrcoef(np.log(found.weights), np.log(true))[0, 1] > 0.95
    assert abs(float((found.weights * ours[:, 0]).mean()) - 0.7) < 0.15
    assert abs(found.effective / len(ours) - np.exp(-(0.7**2))) < 0.15


def test_without_a_difference_weights_are_even() -> None:
    draws = np.random.default_rng(1)
    found = density_ratio(draws.normal(size=(400, 3)), draws.normal(size=(400, 3)))
    assert found.effective > 0.9 * 400


def test_no_weight_is_above_the_cap() -> None:
    found = capped(np.append(np.ones(99), 1e6), "")
    assert found.capped == 1 and found.weights.max() < 10.0 and abs(found.weights.mean() - 1.0) < 1e-9


def test_rows_are_drawn_as_often_as_their_weight_says() -> None:
    weights = np.array([0.0, 0.5, 1.0, 2.5])
    counts = np.mean([np.bincount(drawn(weights, 4, seed), minlength=4) for seed in range(200)], 0)
    assert counts[0] == 0.0 and np.allclose(counts, weights, atol=0.12)


def sample(shares: list[float], count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Logits of the right posterior under even shares, on three overlapping clusters in the plane."""
    draws = np.random.default_rng(seed)
    labels = draws.choice(3, size=count, p=shares)
    centres = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    inputs = centres[labels] + draws.normal(size=(count, 2))
    return -0.5 * ((inputs[:, None] - centres[None]) ** 2).sum(2), labels


def test_both_ways_tell_the_shares_of_the_test_data() -> None:
    held_out, truth = sample([1 / 3, 1 / 3, 1 / 3], 1000, 0)
    test, _ = sample([0.7, 0.2, 0.1], 1000, 1)
    even = np.full(3, 1 / 3)
    assert np.allclose(by_expectation(softmax(test), even), [0.7, 0.2, 0.1], atol=0.05)
    assert np.allclose(by_confusion(softmax(held_out), truth, softmax(test)), [0.7, 0.2, 0.1], atol=0.06)


def test_an_overconfident_classifier_is_calibrated_first() -> None:
    held_out, truth = sample([1 / 3, 1 / 3, 1 / 3], 1000, 0)
    test, _ = sample([0.7, 0.2, 0.1], 1000, 1)
    factor, offsets = calibration(5.0 * held_out, truth)
    assert abs(factor - 0.2) < 0.04
    prior = np.bincount(truth) / len(truth)
    true = np.array([0.7, 0.2, 0.1])
    calibrated = by_expectation(softmax(factor * 5.0 * test + offsets), prior)
    assert np.allclose(calibrated, true, atol=0.08)
    raw = by_expectation(softmax(5.0 * test), prior)
    assert np.abs(calibrated - true).sum() < 0.7 * np.abs(raw - true).sum()


def test_a_class_without_held_out_samples_gets_no_share() -> None:
    held_out, truth = sample([0.5, 0.5, 0.0], 400, 2)
    assert by_confusion(softmax(held_out), truth, softmax(held_out))[2] == 0.0
