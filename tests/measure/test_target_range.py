"""Class numbers that the loss raises on or leaves out, and classes that training never shows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import unstuck
from tests.measure.programs import generator, setup_of
from unstuck import patients
from unstuck.measure.target_range import TargetRange
from unstuck.rules.targets_out_of_range import RULE, bring_into_range

LABELS = torch.arange(60) % 4


def range_of(labels: Tensor, loss: Any = None, held_out: Tensor | None = None, outputs: int = 4) -> TargetRange:
    inputs = torch.randn(len(labels), 3, generator=generator())
    others = {} if held_out is None else {"validation": (inputs[: len(held_out)], held_out)}
    loss = loss or nn.CrossEntropyLoss()
    return TargetRange.measure(setup_of(lambda: nn.Linear(3, outputs), loss, (inputs, labels), **others))


def test_sound_numbers() -> None:
    found = range_of(LABELS)
    assert (found.classes, found.lowest, found.highest) == (4, 0, 3)
    assert not found.refused and not found.left_out and not found.unseen


def test_numbers_beyond_the_outputs_are_refused() -> None:
    found = range_of(LABELS + 1)
    assert [(one.split, one.number, one.count) for one in found.refused] == [("training", 4, 15)]
    assert (found.lowest, found.highest) == (1, 4)


def test_negative_numbers_are_refused_but_not_those_left_out_on_purpose() -> None:
    assert [one.number for one in range_of(LABELS - 1).refused] == [-1]
    assert not range_of(LABELS - 1, nn.CrossEntropyLoss(ignore_index=-1)).refused
    assert not range_of(LABELS - 1, lambda o, t: functional.cross_entropy(o, t, ignore_index=-1)).refused


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(ignore_index=2),
        nn.CrossEntropyLoss(weight=torch.tensor([1.0, 1.0, 0.0, 1.0])),
        lambda outputs, targets: functional.cross_entropy(outputs, targets, ignore_index=2),
    ],
    ids=["ignore_index", "weight", "function"],
)
def test_a_class_that_is_left_out_is_named(loss: Any) -> None:
    assert [(one.number, one.count) for one in range_of(LABELS, loss).left_out] == [(2, 15)]


def test_a_class_that_training_never_shows() -> None:
    found = range_of(LABELS.clamp(max=2), held_out=LABELS[:20])
    (unseen,) = found.unseen
    assert (unseen.split, unseen.number, unseen.count) == ("validation", 3, 5)
    assert unseen.luck == pytest.approx((20 / 80) ** 5)


def test_numbers_are_no_classes() -> None:
    inputs = torch.randn(40, 3, generator=generator())
    assert TargetRange.measure(setup_of(lambda: nn.Linear(3, 1), nn.MSELoss(), (inputs, inputs[:, :1]))).classes == 0


def test_labels_from_one_are_named_although_the_training_raises() -> None:
    sick = patients.classification(targets=lambda labels: labels + 1)
    report = unstuck.diagnose(sick, rules=["DAT010"], budget=20.0)
    assert report.error
    assert [finding.rule.code for finding in report.findings] == ["DAT010"]
    assert "class 3" in report.findings[0].verdict.sentence
    mended = bring_into_range(sick, TargetRange.measure(sick))
    assert RULE.judge(TargetRange.measure(mended)).outcome is unstuck.report.Outcome.ABSENT


def test_per_position_and_language_models() -> None:
    inputs, tokens = torch.randn(30, 5, 3, generator=generator()), torch.arange(150).reshape(30, 5) % 4
    loss = lambda outputs, targets: functional.cross_entropy(outputs.flatten(0, -2), targets.flatten())  # noqa: E731
    found = TargetRange.measure(setup_of(lambda: nn.Linear(3, 4), loss, (inputs, tokens)))
    assert (found.classes, found.per_position, found.refused) == (4, True, ())
