"""Where the answers of a run no longer hold, and where they do."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from unstuck import patients
from unstuck.edits.samples import in_memory
from unstuck.examine import Examination
from unstuck.measure.preparation import Allowance, Prepared, Trained
from unstuck.measure.protocol import NotMeasurable, Unmeasured
from unstuck.measure.shift.matching import in_equal_shares, in_test_shares
from unstuck.measure.shift.outdated import OutdatedAnswers, still_right
from unstuck.measure.task import Task
from unstuck.rules.concept_shift import _randomly, change_meaning
from unstuck.rules.covariate_shift import gather_elsewhere
from unstuck.rules.label_shift import exchange_shares
from unstuck.setup import Setup


def examination(setup: Setup) -> Examination:
    found = Examination(setup)
    found.put(Allowance(20.0))
    return found


def few_tested(setup: Setup, count: int) -> Setup:
    assert setup.test is not None
    return replace(setup, test=in_memory(setup.test).subset(torch.arange(count)))


def test_half_of_the_inputs_with_other_labels_are_a_region_even_of_fifty_test_samples() -> None:
    found: Any = examination(change_meaning(few_tested(patients.shells(), 50))).get(OutdatedAnswers)
    assert found.shown and found.wrong > 0.8 and found.held_out_wrong < 0.1
    assert 0.3 < found.test_share < 0.7 and 0.3 < found.held_out_share < 0.7


@pytest.mark.parametrize(
    "setup",
    [
        pytest.param(lambda: _randomly(patients.classification()), id="labels wrong at random"),
        pytest.param(lambda: gather_elsewhere(patients.shells()), id="other inputs"),
        pytest.param(lambda: exchange_shares(patients.classification(noise=0.3)), id="other shares"),
    ],
)
def test_other_shifts_are_no_such_region(setup: Any) -> None:
    found = examination(setup()).get(OutdatedAnswers)
    assert isinstance(found, Unmeasured) or not found.shown


def test_training_samples_whose_labels_still_hold_are_told_from_labelled_test_samples() -> None:
    ill = change_meaning(patients.shells())
    known = examination(ill)
    prepared, trained, task = known.get(Prepared), known.get(Trained), known.get(Task)
    assert not isinstance(prepared, Unmeasured) and not isinstance(trained, Unmeasured)
    assert not isinstance(task, Unmeasured) and ill.test is not None
    train = in_memory(ill.train)
    renamed = change_meaning(replace(patients.shells(), test=train)).test
    assert renamed is not None
    holds = ill.targets(train.samples) == ill.targets(in_memory(renamed).samples)
    kept = still_right(prepared, trained, task, in_memory(ill.test), train)
    assert (kept == holds).double().mean() > 0.85


def classes(shares: tuple[int, int], moved: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(sum(shares))
    labels = torch.arange(2).repeat_interleave(torch.tensor(shares))
    return torch.randn(len(labels), 3, generator=draws) + 4.0 * labels.unsqueeze(1) + moved, labels


@pytest.mark.parametrize(("moved", "differs"), [(0.0, False), (1.5, True)])
def test_classes_that_are_rare_on_one_side_each_are_compared_in_equal_shares(moved: float, differs: bool) -> None:
    train, test = classes((400, 20)), classes((20, 400), moved)
    setup = patient(train)
    ours, theirs = train[1].numpy(), test[1].numpy()
    weights = torch.tensor([20 / 400, 400 / 20]).double().numpy()
    assert math.isnan(in_test_shares(setup, patient(test).train, ours, weights)[0])  # too few are left
    p_value, _ = in_equal_shares(setup, patient(test).train, ours, theirs)
    assert (p_value < 0.05) is differs


def patient(samples: tuple[torch.Tensor, torch.Tensor]) -> Setup:
    return Setup.of(
        model=lambda: torch.nn.Linear(3, 2),
        loss=torch.nn.CrossEntropyLoss(),
        optimizer=lambda parameters: torch.optim.SGD(parameters, 0.1),
        train=samples,
        epochs=1,
    )


def test_too_few_in_equal_shares_tell_nothing() -> None:
    train, test = classes((400, 5)), classes((5, 400))
    setup = patient(train)
    assert math.isnan(in_equal_shares(setup, patient(test).train, train[1].numpy(), test[1].numpy())[0])


def test_an_answer_for_each_position_is_refused() -> None:
    known = examination(change_meaning(patients.shells()))
    prepared, trained, task = known.get(Prepared), known.get(Trained), known.get(Task)
    assert not isinstance(prepared, Unmeasured) and not isinstance(trained, Unmeasured)
    assert not isinstance(task, Unmeasured)
    samples = in_memory(prepared.setup.train)
    with pytest.raises(NotMeasurable, match="one class or for numbers"):
        still_right(prepared, trained, replace(task, per_position=True), samples, samples)
