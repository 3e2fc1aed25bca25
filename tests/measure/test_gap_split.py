"""The gap between training and test, taken apart step by step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.tiny import line
from unstuck import patients
from unstuck.examine import Examination
from unstuck.loop import evaluate, fit
from unstuck.measure.gap_split import HELD_OUT, TEST, TRAINING, VALIDATION, GapSplit
from unstuck.measure.preparation import Allowance
from unstuck.measure.protocol import Unmeasured
from unstuck.measure.sample_scores import sample_scores
from unstuck.measure.step_interval import difference, difference_of_shares
from unstuck.measure.task import Task
from unstuck.setup import Setup


def split(setup: Setup) -> GapSplit:
    examination = Examination(setup)
    examination.put(Allowance(60.0))
    found = examination.get(GapSplit)
    assert not isinstance(found, Unmeasured), found
    return found


def names(found: GapSplit) -> list[tuple[str, str]]:
    return [(step.lower, step.upper) for step in found.steps]


def test_steps_follow_what_was_given() -> None:
    every = line()
    assert names(split(every)) == [(TRAINING, HELD_OUT), (HELD_OUT, VALIDATION), (VALIDATION, TEST)]
    assert names(split(replace(every, test=None))) == [(TRAINING, HELD_OUT), (HELD_OUT, VALIDATION)]
    alone = split(replace(every, test=None, validation=None))
    assert names(alone) == [(TRAINING, HELD_OUT)]
    assert any("no test data were given" in text for text in alone.untold)
    assert any("no validation split" in text for text in alone.untold)


def test_steps_add_up() -> None:
    found = split(patients.classification(epochs=3))
    whole = found.parts[-1].loss - found.parts[0].loss
    assert sum(step.loss.value for step in found.steps) == pytest.approx(whole)
    assert sum(step.error.value for step in found.steps) == pytest.approx(found.parts[-1].error - found.parts[0].error)
    assert found.seeds == 3


def test_a_shift_of_the_test_data_is_the_last_step_and_no_other() -> None:
    found = split(patients.classification(test_inputs=lambda values: values + 3.0))
    *others, last = found.steps
    assert last.loss.low is not None and last.loss.low > 0.3
    assert all(abs(step.loss.value) < 0.3 for step in others)


def test_learning_by_heart_is_the_first_step_and_no_other() -> None:
    first, *others = split(patients.shells(wrong=0.35, rows=80, epochs=60)).steps
    assert first.loss.low is not None and first.loss.low > 0.0
    assert all(step.loss.low is None or step.loss.low <= 0.0 for step in others)


def test_test_data_without_labels_are_told_so() -> None:
    healthy = patients.classification(epochs=2)
    assert healthy.test is not None
    blind = replace(healthy, test=healthy.test.mapped(lambda batch: (batch[0], torch.full_like(batch[1], -100))))
    found = split(blind)
    assert names(found)[-1][1] == VALIDATION
    assert any("no labels" in text for text in found.untold)


def test_too_few_to_hold_out_joins_two_steps() -> None:
    draws = torch.randn(20, 1)
    found = split(line(train=(draws, draws)))
    assert names(found)[0] == (TRAINING, VALIDATION)
    assert any("too small to hold a part out" in text for text in found.untold)


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.CrossEntropyLoss(label_smoothing=0.1)])
def test_scores_of_samples_average_to_the_score_of_the_split(loss: nn.Module) -> None:
    setup = patients.classification(loss=loss, epochs=1)
    run, task = fit(setup), Task.measure(setup)
    scores = sample_scores(setup, task, run.model, setup.train)
    assert scores.by_sample and len(scores.losses) == len(scores.errors) == 320
    assert scores.losses.mean() == pytest.approx(evaluate(setup, run.model, setup.train).loss, rel=1e-4)
    model, inputs, targets = run.model.eval(), *setup.train.head(320)[0]
    with torch.no_grad():
        wrong = (model(inputs).argmax(1) != targets).double()
    assert scores.errors[: len(wrong)].tolist() == wrong.tolist()


def test_a_loss_that_is_no_mean_over_samples_is_taken_by_batch() -> None:
    setup = patients.classification(loss=nn.CrossEntropyLoss(weight=torch.tensor([5.0, 1.0, 1.0])), epochs=1)
    scores = sample_scores(setup, Task.measure(setup), fit(setup).model, setup.train)
    assert not scores.by_sample and len(scores.losses) == 10


def test_interval_covers_the_difference_of_skewed_scores() -> None:
    draws, covered = np.random.default_rng(5), 0
    for _ in range(200):
        seeds = 0.05 * draws.standard_normal((3, 1))
        upper = draws.exponential(1.0, (1, 60)) + seeds
        lower = draws.exponential(0.5, (1, 90)) + np.zeros((3, 1))
        covered += 0.5 in difference(upper, lower)[1]
    assert 0.90 <= covered / 200 <= 0.99


def test_interval_of_shares_is_wide_where_nothing_was_wrong() -> None:
    value, interval = difference_of_shares(np.zeros((3, 20)), np.zeros((3, 40)))
    assert value == 0.0
    assert interval.low < -0.02 and interval.high > 0.05


def test_seeds_that_disagree_widen_the_interval() -> None:
    draws = np.random.default_rng(0)
    base = draws.standard_normal((1, 400))
    calm = difference(base + np.zeros((3, 1)), np.zeros((3, 400)))[1]
    restless = difference(base + np.array([[-1.0], [0.0], [1.0]]), np.zeros((3, 400)))[1]
    assert restless.high - restless.low > 3 * (calm.high - calm.low)
