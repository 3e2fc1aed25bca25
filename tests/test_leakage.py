"""Leaks between splits are found where they are, and only there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import unstuck
from unstuck import patients
from unstuck.errors import SetupError
from unstuck.setup import Setup, StackedData

TRAINING, OTHER = patients.TRAINING, patients.TESTED


def test_splits_of_their_own_leak_nothing() -> None:
    groups = {"train": np.arange(TRAINING), "test": np.arange(OTHER) + 1000}
    time = {"train": np.arange(TRAINING), "test": np.arange(OTHER) + TRAINING}
    assert unstuck.leaks(patients.shells(), groups=groups, time=time) == ()


def copied(noise: float) -> Setup:
    setup = patients.shells()
    assert isinstance(setup.train, StackedData)
    inputs, labels = (part[:OTHER] for part in setup.train.samples)
    moved = inputs + noise * torch.randn(inputs.shape, generator=torch.Generator().manual_seed(0))
    return patients.shells(test=(moved, labels))


@pytest.mark.parametrize(("noise", "kind"), [(0.0, "exact copies"), (1e-3, "near copies")])
def test_copies_are_found_once_each_by_its_kind(noise: float, kind: str) -> None:
    found = unstuck.leaks(copied(noise))
    assert [(leak.kind, leak.split) for leak in found] == [(kind, "test")]
    assert found[0].share > 0.95 and f"{kind} of training samples" in str(found[0])


def test_a_group_on_both_sides_is_named_with_its_samples() -> None:
    patients_seen = np.array([f"p{number // 10}" for number in range(TRAINING)])
    others = np.array([f"q{number // 10}" for number in range(OTHER)])
    others[[7, 9]] = "p3"
    (leak,) = unstuck.leaks(patients.shells(), groups={"train": patients_seen, "test": others})
    assert (leak.kind, leak.samples, leak.of, leak.rows) == ("groups", 2, OTHER, (7, 9)) and "p3" in str(leak)


def test_dates_before_the_last_training_sample_are_a_leak() -> None:
    days = np.datetime64("2024-01-01") + np.arange(TRAINING)
    later = days.max() + 1 + np.arange(OTHER)
    later[:3] = days[5]
    (leak,) = unstuck.leaks(patients.shells(), time={"train": days, "validation": later})
    assert (leak.kind, leak.split, leak.samples, leak.rows) == ("time", "validation", 3, (0, 1, 2))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"train": np.zeros(5), "test": np.zeros(OTHER)}, "one value for each of the 320"),
        ({"train": np.zeros(TRAINING)}, "and for another one"),
        ({"training": np.zeros(TRAINING)}, "must name splits"),
    ],
)
def test_columns_that_do_not_fit_are_refused_in_a_sentence(columns: dict[str, np.ndarray], message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(SetupError, match=message):
        unstuck.leaks(patients.shells(), groups=columns)
