"""The range test against surfaces whose best and largest stable rates are known."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from tests.tiny import line
from unstuck import patients
from unstuck.measure.range_test import range_test
from unstuck.setup import Setup


class Bowl(nn.Module):
    """Weights in a valley of given curvatures; the inputs say nothing."""

    def __init__(self, curvatures: Iterable[float]) -> None:
        super().__init__()
        self.register_buffer("curvatures", torch.tensor(list(curvatures)))
        self.place = nn.Parameter(torch.ones(len(self.curvatures)))  # type: ignore[arg-type]

    def forward(self, inputs: Tensor) -> Tensor:
        height: Tensor = 0.5 * (self.curvatures * self.place**2).sum()  # type: ignore[operator]
        return height.expand(len(inputs), 1)


def mean(outputs: Tensor, targets: Tensor) -> Tensor:
    return outputs.mean()


def bowl(rate: float, *curvatures: float, momentum: float = 0.0) -> Setup:
    return Setup.of(
        model=lambda: Bowl(curvatures),
        loss=mean,
        optimizer=lambda parameters: torch.optim.SGD(parameters, rate, momentum),
        train=(torch.zeros(64, 1), torch.zeros(64, 1)),
        epochs=15,
        batch_size=16,
    )


@pytest.mark.parametrize("rate", [1e-4, 0.03, 3.0])
@pytest.mark.parametrize("curvature", [0.5, 20.0])
def test_edge_of_a_bowl_is_two_over_its_curvature(rate: float, curvature: float) -> None:
    found = range_test(bowl(rate, curvature), steps=60)
    edge = 2.0 / curvature / rate
    assert found.largest_stable <= edge <= found.smallest_unstable
    assert found.smallest_unstable / found.largest_stable < 1.5


def test_edge_with_momentum() -> None:
    """2 (1 + β) / λ (Polyak 1964)."""
    found = range_test(bowl(0.1, 4.0, momentum=0.9), steps=200)
    edge = 2.0 * 1.9 / 4.0 / 0.1
    assert found.largest_stable <= edge <= found.smallest_unstable


@pytest.mark.parametrize("rate", [1e-5, 0.05, 50.0])
def test_best_rate_of_a_valley_lies_within_the_interval(rate: float) -> None:
    """2 / (λ₁ + λ₂) makes both directions shrink alike."""
    found = range_test(bowl(rate, 1.0, 10.0), steps=20)
    assert found.low <= 2.0 / 11.0 / rate <= found.high
    assert found.high / found.low <= 10.0


def test_the_place_of_the_given_rate() -> None:
    best = range_test(bowl(2.0 / 11.0, 1.0, 10.0), steps=20)
    assert best.low < 1.0 < best.high
    low = range_test(bowl(1e-4, 1.0, 10.0), steps=20)
    assert low.low > 1.0 and low.best > 100.0 and low.excess_low > 0.8
    high = range_test(bowl(5.0, 1.0, 10.0), steps=20)
    assert high.high < 1.0 and high.best < 0.1 and high.excess == pytest.approx(1.0, abs=0.05)


def test_noise_does_not_move_the_answer() -> None:
    noisy = patients.regression(optimizer=patients.sgd(0.03), noise=0.7, batch_size=4, epochs=2)
    found = [range_test(replace(noisy, seed=seed), steps=100) for seed in (0, 50)]
    assert max(each.low for each in found) < min(each.high for each in found)
    assert all(1e-3 < 0.03 * each.best < 1.0 for each in found)


def test_rates_far_off_are_found_beyond_the_first_decades() -> None:
    found = range_test(line(rate=1e-6), steps=40)
    assert 1e4 <= found.best <= 1e6


def stepped(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> Tensor:
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(batch[0]), batch[1])
    loss.backward()
    optimizer.step()
    return loss


@pytest.mark.parametrize(
    "change",
    [
        {"train_step": stepped, "loss": None},
        {"optimizer": lambda parameters: torch.optim.LBFGS(parameters, lr=1e-3)},
        {"optimizer": lambda parameters: torch.optim.Adadelta(parameters, lr=1e-3)},
        {"scheduler": lambda optimizer: OneCycleLR(optimizer, 0.1, total_steps=40)},
    ],
    ids=["own step", "L-BFGS", "Adadelta", "one cycle"],
)
def test_any_optimizer_and_step(change: dict[str, Any]) -> None:
    found = range_test(line(**change), steps=20)
    assert math.isfinite(found.start) and found.points and any(point.loss < found.start for point in found.points)


def test_everything_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(1, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    setup = line(model=model, optimizer=optimizer)
    weights = {name: part.clone() for name, part in model.state_dict().items()}
    state = torch.random.get_rng_state()
    first, second = range_test(setup, steps=10), range_test(setup, steps=10)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(part, weights[name]) for name, part in model.state_dict().items())
    assert optimizer.param_groups[0]["lr"] == 1e-3 and not optimizer.state
    assert first == second


def test_time_is_kept() -> None:
    found = range_test(patients.shells(), seconds=0.0)
    assert not found.complete and found.points
