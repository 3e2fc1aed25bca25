"""The part of a gap that class shares make."""

from __future__ import annotations

import math

import numpy as np
import pytest

from unstuck import patients
from unstuck.examine import Examination
from unstuck.measure.preparation import Allowance
from unstuck.measure.shift.by_class import told_by_shares
from unstuck.measure.shift.shares import ClassShares
from unstuck.rules.covariate_shift import gather_elsewhere
from unstuck.rules.label_shift import exchange_shares
from unstuck.setup import Setup


def drawn(shares: tuple[float, ...], losses: tuple[float, ...], count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(seed)
    labels = draws.choice(len(shares), size=count, p=shares)
    return np.asarray(losses)[labels] * draws.uniform(0.5, 1.5, size=count), labels


def test_all_of_the_gap_where_each_class_loses_what_it_did() -> None:
    sides = [
        drawn(shares, (0.1, 0.2, 2.0), 4000, seed) for seed, shares in enumerate([(0.6, 0.3, 0.1), (0.1, 0.2, 0.7)])
    ]
    value, interval = told_by_shares(*sides[0], *sides[1])
    assert value == pytest.approx(1.0, abs=0.05)
    assert 1.0 in interval and interval.low > 0.8


def test_none_of_the_gap_where_the_shares_are_the_same() -> None:
    sides = [drawn((0.5, 0.5), losses, 4000, seed) for seed, losses in enumerate([(0.1, 0.2), (1.0, 2.0)])]
    value, interval = told_by_shares(*sides[0], *sides[1])
    assert value == pytest.approx(0.0, abs=0.05) and 0.0 in interval


def test_half_of_it_by_hand() -> None:
    labels, test_labels = np.array([0, 0, 0, 1]), np.array([0, 1, 1, 1])
    losses, test_losses = np.array([1.0, 1.0, 1.0, 3.0]), np.array([2.0, 4.0, 4.0, 4.0])
    # Held-out mean 1.5, in the test shares 2.5, test mean 3.5.
    assert told_by_shares(losses, labels, test_losses, test_labels)[0] == pytest.approx(0.5)


def test_a_class_that_no_held_out_sample_has_tells_nothing() -> None:
    zeros, ones = np.zeros(8, dtype=np.int64), np.ones(8, dtype=np.int64)
    assert told_by_shares(np.full(8, 0.5), zeros, np.full(8, 1.0), ones)[0] == pytest.approx(0.0)


def test_there_is_no_part_of_no_gap() -> None:
    labels = np.array([0, 1])
    value, interval = told_by_shares(np.array([1.0, 1.0]), labels, np.array([0.5, 0.5]), labels)
    assert math.isnan(value) and math.isnan(interval.low)


def blurred() -> Setup:
    import torch

    draws = torch.Generator().manual_seed(5)
    return patients.classification(inputs=lambda values: values + 0.35 * torch.randn(values.shape, generator=draws))


@pytest.mark.parametrize(("spoilt", "all_of_it"), [(exchange_shares, True), (gather_elsewhere, False)])
def test_only_other_shares_are_told_by_other_shares(spoilt, all_of_it: bool) -> None:  # type: ignore[no-untyped-def]
    examination = Examination(spoilt(blurred()))
    examination.put(Allowance(20.0))
    found = examination.get(ClassShares)
    assert (isinstance(found, ClassShares) and found.tell_it_all) == all_of_it
