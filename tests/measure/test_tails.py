"""Tails against distributions whose tails are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.measure.programs import generator, setup_of
from unstuck.measure.tails import FEW, Tails, fences


def tails(inputs: Tensor, targets: Tensor) -> dict[str, tuple[float, float]]:
    found = Tails.measure(setup_of(lambda: nn.Linear(1, 1), nn.MSELoss(), (inputs, targets)))
    return {tail.part: (tail.owned, tail.largest) for tail in found.tails}


def test_normal_numbers_against_theory() -> None:
    values = torch.randn(2000, 1, generator=generator(), dtype=torch.float64)
    normal = torch.distributions.Normal(0.0, 1.0)
    edge = float(normal.icdf(torch.tensor(1.0 - FEW / 2)))
    exact = 2.0 * (edge * float(normal.log_prob(torch.tensor(edge)).exp()) + FEW / 2)
    assert tails(values, values)["targets"][0] == pytest.approx(exact, abs=0.03)


def test_units_do_not_matter() -> None:
    inputs = torch.randn(200, 3, generator=generator())
    units = torch.tensor([1e-3, 1.0, 1e4])
    assert tails(inputs, inputs)["inputs"] == pytest.approx(tails(inputs * units + units, inputs)["inputs"], rel=1e-2)


def test_one_far_target_owns_almost_all() -> None:
    targets = torch.randn(200, 1, generator=generator())
    targets[17] = 1000.0
    owned, largest = tails(torch.zeros(200, 2), targets)["targets"]
    assert owned > 0.99 and largest > 100.0


def test_constant_and_sparse_columns_have_no_tails() -> None:
    sparse = (torch.rand(200, 4, generator=generator()) < 0.1).float()
    assert "inputs" not in tails(sparse, torch.randn(200, 1, generator=generator()))


def test_fences_against_quantiles() -> None:
    values = torch.randn(101, 2, 3, generator=generator(), dtype=torch.float64)
    low, high = fences(values, 3.0)
    first, third = values.quantile(0.25, 0), values.quantile(0.75, 0)
    assert torch.allclose(low, first - 3.0 * (third - first)) and torch.allclose(high, third + 3.0 * (third - first))
