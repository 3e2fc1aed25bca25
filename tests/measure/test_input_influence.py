"""Whether outputs depend on inputs, and where what differs gets lost."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unstuck import patients
from unstuck.measure.input_influence import InputInfluence, spread_of
from unstuck.measure.preparation import Allowance, Prepared, Trained


class Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, values: Tensor) -> Tensor:
        return self.factor * values


class Overwritten(nn.Module):
    """Uses something else than its argument, between two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, values: Tensor) -> Tensor:
        hidden = torch.zeros_like(self.first(values)) + 1.0
        return self.second(hidden)


def influence(model: Any) -> InputInfluence:
    prepared = Prepared.measure(patients.classification(model, epochs=2))
    return InputInfluence.measure(prepared, Trained.measure(prepared, Allowance(10.0)))


@pytest.mark.parametrize(
    ("model", "module", "inside"),
    [
        (lambda: nn.Sequential(nn.Linear(4, 8), Times(0.0), nn.ReLU(), nn.Linear(8, 3)), "1", True),
        (Overwritten, "second", False),
    ],
)
def test_the_place_where_inputs_get_lost(model: Any, module: str, inside: bool) -> None:
    found = influence(model)
    assert found.inputs > 0.1 and found.at_start == found.at_end == 0.0
    assert (found.module, found.inside) == (module, inside)


@pytest.mark.parametrize("factor", [1.0, 1e-6, 1e6])
def test_scale_does_not_matter(factor: float) -> None:
    found = influence(lambda: nn.Sequential(*patients.perceptron(4, 8, 3), Times(factor)))
    assert found.at_start > 0.01 and found.at_end > 0.01 and found.module == ""


def test_mixed_weights_wake_units_that_are_dead_by_their_draw() -> None:
    def dead() -> nn.Module:
        last = nn.Linear(8, 1)
        nn.init.constant_(last.bias, -10.0)
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), last, nn.ReLU())

    def cut() -> nn.Module:
        return nn.Sequential(nn.Linear(4, 8), Times(0.0), nn.Linear(8, 1))

    setups = [
        patients.regression(dead, inputs=lambda values: torch.cat([values, values[:, :1]], 1), epochs=1),
        patients.regression(cut, inputs=lambda values: torch.cat([values, values[:, :1]], 1), epochs=1),
    ]
    mixed = []
    for setup in setups:
        prepared = Prepared.measure(setup)
        found = InputInfluence.measure(prepared, Trained.measure(prepared, Allowance(10.0)))
        assert found.at_start == found.at_end == 0.0
        mixed.append(found.mixed)
    assert mixed[0] > 1e-3 and mixed[1] == 0.0


def test_weights_that_work_are_not_mixed() -> None:
    assert math.isnan(influence(lambda: nn.Sequential(*patients.perceptron(4, 8, 3))).mixed)


def test_spread_is_that_of_the_formula() -> None:
    values = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
    assert spread_of([values], 2) == pytest.approx(1.0 / 5.0)
    assert spread_of([torch.zeros(2, 3)], 2) == 0.0 and spread_of([torch.zeros(())], 2) is None
