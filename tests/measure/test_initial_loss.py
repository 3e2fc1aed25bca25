"""Where training starts, against known answers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from unstuck import patients
from unstuck.edits.scaling import standardise_targets
from unstuck.examine import Examination
from unstuck.measure.initial_loss import InitialLoss
from unstuck.rules.initial_loss_off import centre_last_layer
from unstuck.setup import Setup


def start(setup: Setup) -> InitialLoss:
    found = Examination(setup).get(InitialLoss)
    assert isinstance(found, InitialLoss), found
    return found


def silent(classes: int, bias: tuple[float, ...]) -> nn.Module:
    """A network that says the same whatever it is asked."""
    net = patients.perceptron(4, 8, classes)
    nn.init.zeros_(net[-1].weight)
    with torch.no_grad():
        net[-1].bias.copy_(torch.tensor(bias))
    return net


def test_undecided_logits_start_at_the_logarithm_of_the_number_of_classes() -> None:
    found = start(patients.shells(lambda: silent(3, (0.0, 0.0, 0.0))))
    assert found.loss == pytest.approx(math.log(3), rel=1e-5)
    assert found.constant == pytest.approx(math.log(3), rel=1e-2) and found.ideal == pytest.approx(0.0, abs=1e-4)


def test_batches_count_as_they_are_trained_on() -> None:
    """A sum over batches of 32 starts at 32 times the mean, as the best constant's does."""
    found = start(patients.shells(lambda: silent(3, (0.0,) * 3), loss=nn.CrossEntropyLoss(reduction="sum")))
    assert found.loss == pytest.approx(found.constant, rel=2e-2)


@pytest.mark.parametrize("last", [None, nn.LogSoftmax(dim=1)])
def test_the_shift_leads_to_the_best_constant(last: nn.Module | None) -> None:
    def model() -> nn.Module:
        return nn.Sequential(silent(3, (9.0, 0.0, -4.0)), *([] if last is None else [last]))

    setup = patients.shells(model, loss=nn.CrossEntropyLoss() if last is None else nn.NLLLoss())
    before = start(setup)
    mended = start(centre_last_layer(setup)[0])
    assert before.loss > 3.0 and mended.loss == pytest.approx(mended.constant, rel=1e-2)


def test_weights_that_are_too_large_are_scaled_besides() -> None:
    def model() -> nn.Module:
        net = patients.perceptron(4, 8, 3)
        with torch.no_grad():
            net[-1].weight.mul_(100.0)
            net[-1].bias.fill_(7.0)
        return net

    setup = patients.shells(model)
    before = start(setup)
    mended = start(centre_last_layer(setup)[1])
    assert before.spread > 5.0 and mended.spread == pytest.approx(1.0, rel=1e-3)
    assert mended.mean == pytest.approx(mended.wanted, abs=1e-3)


def test_the_shift_is_in_units_of_the_last_layer_where_something_behind_it_scales() -> None:
    def model() -> nn.Module:
        net = patients.perceptron(3, 8, 1)
        nn.init.constant_(net[-1].bias, 30.0)
        return net

    setup = standardise_targets(patients.regression(model, targets=lambda values: 200.0 * values + 500.0))
    before = start(setup)
    mended = start(centre_last_layer(setup)[0])
    assert before.unit == pytest.approx(200.0, rel=0.2) and before.mean[0] == pytest.approx(30.0, abs=2.0)
    assert before.loss > 100.0 * before.constant and mended.loss < 2.0 * mended.constant
