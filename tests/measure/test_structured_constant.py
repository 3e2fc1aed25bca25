"""The best constant of outputs that are structures, against closed forms."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

import unstuck
from tests.measure.programs import generator, prepared, setup_of
from unstuck.measure.best_constant import BestConstant
from unstuck.measure.protocol import NotMeasurable, Unmeasured
from unstuck.setup import Setup

INPUTS = torch.randn(600, 3, generator=generator(0))
VALUES = 3.0 * INPUTS[:, :1] - 5.0
LABELS = (INPUTS[:, 1] > 0.5).long()


class Heads(nn.Module):
    """Two heads on one body: numbers, and a positive width or scores."""

    def __init__(self, second: int, positive: bool) -> None:
        super().__init__()
        self.body, self.first, self.second = nn.Linear(3, 8), nn.Linear(8, 1), nn.Linear(8, second)
        self.positive = positive

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        hidden = self.body(inputs).relu()
        second = self.second(hidden)
        return {"mean": self.first(hidden), "other": functional.softplus(second) if self.positive else second}


class Shared(nn.Module):
    """One network on three inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Linear(3, 4)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network(each) for each in inputs)


def best(setup: Setup) -> BestConstant:
    return BestConstant.measure(prepared(setup), Unmeasured("outputs are structures"))


def two_tasks() -> Setup:
    pairs = [(each, (value, label)) for each, value, label in zip(INPUTS, VALUES, LABELS, strict=True)]

    def loss(outputs: dict[str, Tensor], targets: tuple[Tensor, Tensor]) -> Tensor:
        return functional.mse_loss(outputs["mean"], targets[0]) + functional.cross_entropy(outputs["other"], targets[1])

    return setup_of(lambda: Heads(2, False), loss, DataLoader(pairs, 50), validation=DataLoader(pairs, 50))


def test_two_tasks_cost_the_variance_of_the_one_and_the_entropy_of_the_other() -> None:
    shares = LABELS.bincount().double() / len(LABELS)
    expected = float(VALUES.var(correction=0)) - float((shares * shares.log()).sum())
    found = best(two_tasks())
    assert found.training_loss == pytest.approx(expected, rel=1e-4)
    assert found.held_out_loss == pytest.approx(expected, rel=1e-4)
    assert found.test_loss is None
    assert found.constant[0] == pytest.approx(float(VALUES.mean()), rel=1e-3)


def test_a_width_stays_positive_and_may_be_above_one() -> None:
    def loss(outputs: dict[str, Tensor], targets: Tensor) -> Tensor:
        return functional.gaussian_nll_loss(outputs["mean"], targets, outputs["other"])

    both = (INPUTS, VALUES)
    found = best(setup_of(lambda: Heads(1, True), loss, both, validation=both))
    variance = float(VALUES.var(correction=0))
    assert found.training_loss == pytest.approx(0.5 * (math.log(variance) + 1.0), rel=1e-4)
    assert found.constant[1] == pytest.approx(variance, rel=1e-2)


def test_what_does_not_look_at_its_inputs_cannot_tell_a_positive_from_a_negative() -> None:
    samples = (INPUTS, INPUTS.roll(1, 0), INPUTS.roll(2, 0), torch.zeros(600))
    data = torch.utils.data.TensorDataset(*samples)
    margin = 0.7
    setup = setup_of(
        Shared, lambda outputs, _: functional.triplet_margin_loss(*outputs, margin=margin), data, validation=data
    )
    assert best(setup).training_loss == pytest.approx(margin, abs=1e-6)


@pytest.mark.parametrize(
    ("loss", "says"),
    [
        (lambda outputs, _: -outputs["mean"].mean(), "falls without end"),
        (lambda outputs, targets: (outputs["mean"].detach() - targets).square().mean(), "does not depend"),
        (None, "give `loss` as well"),
    ],
)
def test_what_has_no_best_constant_is_said(loss: Any, says: str) -> None:
    both = (INPUTS, VALUES)
    step = (lambda model, optimizer, batch: model(batch[0])["mean"].mean()) if loss is None else None
    setup = setup_of(lambda: Heads(1, False), loss, both, validation=both, train_step=step)
    with pytest.raises(NotMeasurable, match=says):
        best(setup)


def test_outputs_without_a_row_a_sample_are_refused() -> None:
    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 1)

        def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
            outputs = self.layer(inputs)
            return outputs, outputs.mean()

    both = (INPUTS, VALUES)
    setup = setup_of(Whole, lambda outputs, targets: functional.mse_loss(outputs[0], targets), both, validation=both)
    with pytest.raises(NotMeasurable, match="a row a sample"):
        best(setup)


def test_the_guide_is_walked_for_a_network_of_two_heads() -> None:
    report = unstuck.diagnose(two_tasks(), budget=20.0)
    assert report.questions and "the questions of the guide" not in {each.subject for each in report.unchecked}
