"""How much pull passes the last activation, against autograd through it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from unstuck import patients
from unstuck.measure.layout import Layout
from unstuck.measure.output_slope import OutputSlope
from unstuck.measure.preparation import Prepared
from unstuck.measure.task import Task
from unstuck.setup import Setup
from unstuck.setup.data import gather


def squared(outputs: Tensor, labels: Tensor) -> Tensor:
    return functional.mse_loss(outputs, functional.one_hot(labels, 3).float())


def slope(setup: Setup) -> OutputSlope:
    prepared = Prepared.measure(setup)
    return OutputSlope.measure(prepared, Task.measure(setup), Layout.measure(prepared))


def shifted(bias: float, last: nn.Module) -> nn.Module:
    net = patients.perceptron(4, 8, 3)
    with torch.no_grad():
        net[-1].bias += torch.tensor([bias, 0.0, 0.0])
    return nn.Sequential(*net, last)


@pytest.mark.parametrize("bias", [0.0, 2.0, 6.0, 12.0])
def test_passing_is_that_of_autograd(bias: float) -> None:
    model = shifted(bias, nn.Softmax(dim=1))
    setup = patients.shells(model, loss=squared)
    inputs, labels = gather(setup.train.head(61))

    def ratio(logits: Tensor) -> float:
        leaf = logits.detach().double().requires_grad_()
        hot = functional.one_hot(labels, 3).double()
        (ours,) = torch.autograd.grad((leaf.softmax(1) - hot).square().mean(), leaf)
        return float(ours.norm() / (leaf.detach().softmax(1) - hot).norm())

    logits = model[:-1](inputs)
    found = slope(setup)
    assert found.activation == "softmax"
    assert found.passing == pytest.approx(ratio(logits) / ratio(torch.zeros_like(logits)), rel=2e-2)


def test_a_loss_that_undoes_the_squashing_is_not_looked_at() -> None:
    assert math.isnan(slope(patients.shells()).passing)
    logarithms = patients.shells(lambda: shifted(12.0, nn.LogSoftmax(dim=1)), loss=nn.NLLLoss())
    assert slope(logarithms).activation == ""
