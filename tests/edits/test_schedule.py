"""Schedules at another pace: the same rates over a longer or shorter run."""

from __future__ import annotations

from typing import Any

import pytest
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, ReduceLROnPlateau, StepLR

import unstuck
from unstuck import patients
from unstuck.edits.schedule import paced, with_batch_size, with_epochs_times, with_shape
from unstuck.setup import Setup


def rates(setup: Setup) -> tuple[float, ...]:
    return unstuck.fit(setup, validate=False).record.rates


def one_cycle(optimizer: Optimizer) -> Any:
    return OneCycleLR(optimizer, max_lr=0.1, total_steps=30)


def cosine(optimizer: Optimizer) -> Any:
    return CosineAnnealingLR(optimizer, 3)


def test_a_cycle_of_fixed_length_is_stretched_over_three_times_the_epochs() -> None:
    short = patients.shells(epochs=3, scheduler=one_cycle)
    given, stretched = rates(short), rates(with_epochs_times(short, 3))
    assert len(stretched) == 3 * len(given) == 90
    assert stretched[::3] == pytest.approx(given)
    assert min(stretched[-3:]) == pytest.approx(given[-1])


def test_a_cosine_counted_in_epochs_does_not_rise_again() -> None:
    found = rates(with_epochs_times(patients.shells(epochs=3, scheduler=cosine), 3))
    assert list(found) == sorted(found, reverse=True)


@pytest.mark.parametrize("size", [8, 16, 64, 160])
def test_a_schedule_counted_in_steps_fits_batches_of_another_size(size: int) -> None:
    given = patients.shells(epochs=3, scheduler=one_cycle)
    found = rates(with_batch_size(given, size))
    assert len(found) == 3 * 320 // size
    whole = rates(given)
    assert max(found) == pytest.approx(max(whole), rel=0.35)
    assert found[-1] <= 2.0 * whole[-4]


def test_a_schedule_counted_in_epochs_is_left_to_the_epochs() -> None:
    given = patients.shells(epochs=2, scheduler=lambda optimizer: StepLR(optimizer, 1))
    assert with_batch_size(given, 8).scheduler is given.scheduler


def test_one_that_watches_the_loss_is_kept() -> None:
    given = patients.shells(epochs=2, scheduler=lambda optimizer: ReduceLROnPlateau(optimizer))
    assert paced(given, 3.0) is given.scheduler


def test_runs_do_not_share_a_scheduler() -> None:
    setup = with_epochs_times(patients.shells(epochs=2, scheduler=cosine), 2)
    assert rates(setup) == rates(setup)


def test_shapes() -> None:
    setup = patients.shells(epochs=4, scheduler=cosine)
    constant = rates(with_shape(setup))
    assert set(constant) == {0.01}
    decayed = rates(with_shape(setup, decays=True))
    assert decayed[0] == 0.01 and decayed[20] == pytest.approx(0.005) and decayed[-1] < 1e-4
    warmed = rates(with_shape(setup, warm_up=True))
    assert warmed[0] < warmed[1] < warmed[2] == 0.01 and set(warmed[2:]) == {0.01}
