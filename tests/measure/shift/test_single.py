"""What a feature tells by itself, and whether it still does in the test data."""

from __future__ import annotations

from typing import Any

from unstuck import patients
from unstuck.examine import Examination
from unstuck.measure.preparation import Allowance
from unstuck.measure.shift.single import SingleFeatures
from unstuck.measure.shift.test_data import TestGap
from unstuck.rules.target_leak import write_answer
from unstuck.setup import Setup


def measured(setup: Setup) -> Any:
    examination = Examination(setup)
    examination.put(Allowance(20.0))
    examination.put(TestGap(1.0, 0.5, 1.5, labelled=True))
    return examination.get(SingleFeatures)


def test_a_leak_tells_everything_on_held_out_samples_and_nothing_on_test_samples() -> None:
    for patient in (patients.shells, patients.regression):
        found = measured(write_answer(patient(epochs=1)))
        assert found.features[0].held_out < 0.1 and found.features[0].test > 0.9
        assert found.features[1].held_out > 0.3


def test_without_a_leak_no_feature_tells_everything() -> None:
    found = measured(patients.shells(epochs=1))
    assert found.columns == 4 and len(found.features) == 3 and found.features[0].held_out > 0.3
