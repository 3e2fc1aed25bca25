"""What is told of the test data, with labels and without."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

import unstuck
from unstuck import patients
from unstuck.examine import Examination
from unstuck.loop import evaluate
from unstuck.measure.preparation import Allowance
from unstuck.measure.protocol import Unmeasured
from unstuck.measure.shift.concept import ConceptGap
from unstuck.measure.shift.drift import InputDrift
from unstuck.measure.shift.shares import ClassShares
from unstuck.measure.shift.test_data import Halves, TestGap
from unstuck.rules.concept_shift import change_meaning
from unstuck.rules.covariate_shift import gather_elsewhere
from unstuck.rules.label_shift import exchange_shares
from unstuck.setup import Setup, StackedData


def measured(setup: Setup, kind: Any) -> Any:
    examination = Examination(setup)
    examination.put(Allowance(20.0))
    return examination.get(kind)


def without_labels(setup: Setup) -> Setup:
    assert isinstance(setup.test, StackedData)
    inputs = setup.test.samples[0]
    return Setup.of(
        model=lambda: patients.perceptron(4, 32, 32, 3),
        loss=setup.loss,
        optimizer=patients.adam(),
        train=setup.train,
        validation=setup.validation,
        test=(inputs, None),
        epochs=setup.epochs,
        batch_size=32,
    )


def test_nothing_is_asked_where_the_test_loss_is_small() -> None:
    healthy = patients.shells()
    for kind in (InputDrift, ClassShares, ConceptGap):
        found = measured(healthy, kind)
        assert isinstance(found, Unmeasured) and "as low as" in found.reason


def test_halves_are_disjoint_and_have_the_same_loss() -> None:
    setup = patients.shells(wrong=0.3)
    halves = measured(setup, Halves)
    assert isinstance(setup.test, StackedData)
    inputs = torch.cat([halves.known.samples[0], halves.scored.samples[0]])
    assert len(inputs) == setup.test.size and len(inputs.unique(dim=0)) == len(setup.test.samples[0].unique(dim=0))
    model = unstuck.fit(setup).model
    losses = [evaluate(setup, model, part).loss for part in (halves.known, halves.scored)]
    assert abs(losses[0] - losses[1]) < 0.05 * max(losses)


def test_moved_inputs_are_told_with_the_features_that_moved() -> None:
    moved = patients.shells(test_inputs=lambda inputs: inputs + torch.tensor([0.0, 3.0, 0.0, 0.0]))
    found = measured(moved, InputDrift)
    assert found.differs and found.area > 0.8 and found.moved[0].number == 1 and len(found.rows) == 5


def test_shares_of_classes_are_told_from_the_answers_alone() -> None:
    shifted = replace(patients.shells(), test=exchange_shares(patients.shells()).test)
    assert isinstance(shifted.test, StackedData)
    actual = torch.bincount(shifted.test.samples[1]) / shifted.test.size
    found = measured(without_labels(shifted), ClassShares)
    assert found.p_value <= 0.05 and found.moved > 0.3 and found.agree
    for share in found.shares:
        assert abs(share.expected - float(actual[share.number])) < 0.06
        assert abs(share.inverted - float(actual[share.number])) < 0.06


@pytest.mark.slow
def test_labels_that_disagree_are_told_from_inputs_that_moved() -> None:
    changed = measured(change_meaning(patients.shells()), ConceptGap)
    assert changed.low > 0.1
    elsewhere = measured(gather_elsewhere(patients.classification()), ConceptGap)
    assert isinstance(elsewhere, Unmeasured) or elsewhere.apart or elsewhere.low <= 0.0


@pytest.mark.slow
def test_test_inputs_without_labels_are_compared_and_nothing_is_claimed() -> None:
    moved = without_labels(patients.shells(test_inputs=lambda inputs: 2.0 * inputs + 1.0))
    gap = measured(moved, TestGap)
    assert not gap.labelled and gap.open and not gap.large
    report = unstuck.diagnose(moved, rules=["MIS001", "MIS002", "MIS003"], budget=30.0)
    assert not report.error and not report.findings
    told = {missing.subject[:6]: missing.reason for missing in report.unchecked}
    assert "without test labels" in told["MIS001"] and "ithout test labels" in told["MIS003"]
    same = without_labels(patients.shells())
    assert not measured(same, InputDrift).differs
    assert measured(same, ClassShares).p_value > 0.05


def test_a_set_up_with_labels_has_no_unlabelled_part() -> None:
    setup = patients.shells()
    assert setup.unlabelled is None and replace(setup, test=None).unlabelled is None
