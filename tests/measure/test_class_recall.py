"""Recall by class and the balanced error, against counts written out; and what a trial makes of it."""

from __future__ import annotations

import math

import pytest
import torch

from unstuck.examine import Examination
from unstuck.gauge import Gauge
from unstuck.measure.class_recall import ClassRecall
from unstuck.measure.metric import balanced_error
from unstuck.measure.preparation import Allowance
from unstuck.measure.scores import Scores, SplitScore
from unstuck.measure.task import Task
from unstuck.patients import classification, regression
from unstuck.rule import Aim
from unstuck.rules.class_imbalance import draw_evenly, thin_out
from unstuck.setup import Setup


def task_of(setup: Setup) -> Task:
    found = Examination(setup).get(Task)
    assert isinstance(found, Task)
    return found


def test_balanced_error_counts_every_class_the_same() -> None:
    task = task_of(classification())
    truth = torch.tensor([0] * 90 + [1] * 9 + [2])
    always_first = torch.tensor([[1.0, 0.0, 0.0]]).expand(100, 3)
    assert balanced_error(task, always_first, truth) == pytest.approx(1.0)
    perfect = torch.nn.functional.one_hot(truth, 3).float()
    assert balanced_error(task, perfect, truth) == 0.0
    half = torch.where((torch.arange(100) < 95).unsqueeze(1), perfect, always_first)
    # recalls 1, 5/9 and 0
    assert balanced_error(task, half, truth) == pytest.approx((1.0 - (1.0 + 5.0 / 9.0) / 3.0) / (2.0 / 3.0))


def test_numbers_have_no_balanced_error() -> None:
    setup = regression()
    assert math.isnan(balanced_error(task_of(setup), torch.zeros(5, 1), torch.zeros(5, 1)))


def test_recall_of_a_thinned_class() -> None:
    sick = thin_out(classification())
    examination = Examination(sick)
    examination.put(Allowance(20.0))
    found = examination.get(ClassRecall)
    assert isinstance(found, ClassRecall)
    assert found.training[0].number == 2 and found.training[0].count < 15
    assert [one.number for one in found.training] == [one.number for one in found.held_out]
    assert all(one.found <= one.count for one in (*found.training, *found.held_out))
    assert sum(one.share for one in found.training) == pytest.approx(1.0)


def test_every_class_is_drawn_equally_often() -> None:
    even = draw_evenly(thin_out(classification()))
    counts = even.targets(even.train.samples).unique(return_counts=True)[1]  # type: ignore[attr-defined]
    assert len(set(counts.tolist())) == 1


def test_the_gauge_sees_what_the_loss_does_not() -> None:
    def scores(loss: float, balanced: float) -> Scores:
        split = SplitScore(loss, 0.0, loss, 100, balanced)
        return Scores(split, split, None)

    before, after = scores(0.2, 0.9), scores(0.4, 0.3)
    assert Gauge(None, Aim.BALANCED, by_loss=True).gain(before, after) == pytest.approx(0.6)
    assert Gauge(None, Aim.BALANCED, by_loss=True).number(after) == 0.3
    assert Gauge(None, Aim.HELD_OUT, by_loss=False).gain(before, after) < 0.0
