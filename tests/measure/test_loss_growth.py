"""How a loss grows with the batch, against the power that its formula has."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unstuck import patients
from unstuck.measure.loss_growth import LossGrowth
from unstuck.measure.preparation import Prepared
from unstuck.measure.protocol import NotMeasurable


def growth(loss: Any, **others: Any) -> float:
    return LossGrowth.measure(Prepared.measure(patients.regression(loss=loss, **others))).exponent


def root(outputs: Tensor, targets: Tensor) -> Tensor:
    """√n times the mean."""
    return (outputs - targets).square().mean() * math.sqrt(len(targets))


@pytest.mark.parametrize(
    ("loss", "power"),
    [
        (nn.MSELoss(), 0.0),
        (nn.MSELoss(reduction="sum"), 1.0),
        (root, 0.5),
        (lambda o, t: nn.functional.mse_loss(o, t) + 1e3, 0.0),
        (lambda o, t: 1e-6 * nn.functional.l1_loss(o, t, reduction="sum") - 5.0, 1.0),
    ],
)
def test_power_is_that_of_the_formula(loss: Any, power: float) -> None:
    assert growth(loss) == pytest.approx(power, abs=1e-4)


def test_a_loss_without_gradient_gives_no_number() -> None:
    assert math.isnan(growth(lambda outputs, targets: (0.0 * outputs).sum()))


def test_a_loss_that_leaves_torch_is_not_measured() -> None:
    with pytest.raises(NotMeasurable):
        growth(lambda outputs, targets: torch.tensor(float(outputs.detach().sum())))
