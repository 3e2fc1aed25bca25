"""The learning curve over epochs: its critical epoch, and which of three courses it takes."""

import math

import pytest

from unstuck import patients
from unstuck.examine import Examination
from unstuck.measure.epoch_curve import Course, EpochCurve
from unstuck.measure.preparation import Allowance
from unstuck.measure.protocol import NotMeasurable


def curve(*held_out: float) -> EpochCurve:
    return EpochCurve.of(tuple(1.0 / (epoch + 1) for epoch in range(len(held_out))), held_out)


def test_a_loss_that_falls_all_along_has_not_turned_up() -> None:
    found = curve(*(1.0 / epoch for epoch in range(1, 30)))
    assert found.course is Course.UNDERFITTING
    assert found.critical == 29 and found.rise == 0.0


def test_a_loss_that_rises_from_its_middle_has_its_critical_epoch_there() -> None:
    found = curve(*(1.0 + 0.01 * (epoch - 12) ** 2 for epoch in range(1, 40)))
    assert found.course is Course.NORMAL
    assert found.critical == 12 and found.lowest == 1.0 and found.rise > 5.0


def test_a_loss_that_only_rises_overfits_from_the_first_epoch() -> None:
    assert curve(*(1.0 + 0.1 * epoch for epoch in range(20))).course is Course.OVERFITTING


def test_epochs_that_stray_are_no_rise() -> None:
    strays = (0.03, -0.04, 0.02, -0.05, 0.05, 0.0, 0.04, -0.03)
    found = curve(*(1.0 + strays[epoch % len(strays)] for epoch in range(24)))
    assert found.course is Course.UNDERFITTING
    assert 0.0 < found.rise <= found.doubt


def test_a_run_that_ends_in_no_finite_loss_rises_without_end() -> None:
    found = curve(1.0, 0.5, 0.7, math.inf, math.nan, math.nan)
    assert found.rise == math.inf and found.critical == 2


def test_two_epochs_have_no_course() -> None:
    with pytest.raises(NotMeasurable, match="3 of them"):
        curve(1.0, 0.5)


def test_it_is_read_off_the_run_as_given() -> None:
    examination = Examination(patients.shells(wrong=0.3, rows=80, epochs=60))
    examination.put(Allowance(20.0))
    found = examination.get(EpochCurve)
    assert isinstance(found, EpochCurve)
    assert len(found.held_out) == len(found.training) == 60
    assert found.course is Course.NORMAL
    assert found.training[-1] < 0.5 * found.training[0]
