"""Steps against what optimizers bear, ways out of saddles, and the record of where a run ends."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adagrad, Adam, AdamW, NAdam, Optimizer, RMSprop

from unstuck import Setup, fit, patients
from unstuck.measure.curvature import Kind, Surface
from unstuck.measure.curvature.at_end import end_point
from unstuck.measure.curvature.escape import escaping_start
from unstuck.measure.curvature.lines import settle, sharpness
from unstuck.measure.curvature.stability import stability_limit, step_curvature
from unstuck.measure.preparation import Prepared
from unstuck.measure.protocol import NotMeasurable
from unstuck.rules.saddle_point import start_at_saddle

OPTIMIZERS: dict[str, tuple[Any, dict[str, Any], float]] = {
    "gradient descent": (SGD, {}, 2.0),
    "heavy ball": (SGD, {"momentum": 0.9}, 3.8),
    "Nesterov": (SGD, {"momentum": 0.9, "nesterov": True}, 3.8 / 2.8),
    "heavy ball with dampening": (SGD, {"momentum": 0.5, "dampening": 0.5}, 6.0),
}


def swings_out(optimizer: Optimizer, weight: nn.Parameter, curvature: float) -> bool:
    """Whether an optimizer diverges on ½ curvature · w²."""
    for _ in range(3000):
        weight.grad = curvature * weight.detach().clone()
        optimizer.step()  # type: ignore[no-untyped-call]
        if abs(weight.item()) > 1e6:
            return True
    return abs(weight.item()) > 1.0


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_limit_is_where_the_optimizer_begins_to_diverge(name: str) -> None:
    kind, settings, expected = OPTIMIZERS[name]
    for factor, diverges in ((0.98, False), (1.02, True)):
        weight = nn.Parameter(torch.ones(1, dtype=torch.float64))
        optimizer = kind([weight], lr=0.1, **settings)
        assert stability_limit(optimizer) == pytest.approx(expected)
        assert swings_out(optimizer, weight, factor * expected / 0.1) is diverges


def test_limits_of_scaled_steps() -> None:
    weights = [nn.Parameter(torch.ones(2))]
    assert stability_limit(Adam(weights, 0.1)) == pytest.approx(38.0)
    assert stability_limit(AdamW(weights, 0.1, betas=(0.5, 0.9))) == pytest.approx(6.0)
    assert stability_limit(RMSprop(weights, 0.1, momentum=0.5)) == pytest.approx(3.0)
    assert stability_limit(Adagrad(weights, 0.1)) == 2.0
    with pytest.raises(NotMeasurable):
        stability_limit(NAdam(weights, 0.1))


def linear(optimizer: Any) -> Setup:
    draws = torch.Generator().manual_seed(0)
    inputs = torch.randn(64, 3, generator=draws) * torch.tensor([1.0, 2.0, 5.0])
    return Setup.of(
        model=lambda: nn.Linear(3, 1, bias=False),
        loss=nn.MSELoss(),
        optimizer=optimizer,
        train=(inputs, inputs.sum(dim=1, keepdim=True)),
        batch_size=64,
    )


def test_step_times_curvature_of_a_linear_model() -> None:
    setup = linear(lambda parameters: SGD(parameters, 0.03, weight_decay=0.5))
    found = step_curvature(Prepared.measure(setup).setup)
    inputs = Prepared.measure(setup).setup.train.head(64)[0][0]
    true = float(torch.linalg.eigvalsh(2.0 * inputs.T @ inputs / len(inputs))[-1]) + 0.5
    assert found.curvature == pytest.approx(true, rel=1e-3) and found.steps == 0
    assert found.ratio == pytest.approx(0.03 * true / 2.0, rel=1e-3)


def test_step_times_curvature_in_the_scale_of_adam() -> None:
    setup = linear(lambda parameters: Adam(parameters, 0.01))
    found = step_curvature(setup)
    assert found.optimizer == "Adam" and found.steps >= 1 and 0.0 < found.ratio < 1.0


def test_a_rate_far_too_high_is_beyond_the_limit() -> None:
    wild, sound = (patients.shells(optimizer=patients.sgd(rate)) for rate in (30.0, 0.1))
    assert step_curvature(wild).ratio > 2.0
    assert step_curvature(sound).ratio < 1.0


def test_sharpness_does_not_change_when_layers_are_rescaled() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8, bias=False), nn.ReLU(), nn.Linear(8, 1, bias=False)).double()
    inputs = torch.randn(32, 4, dtype=torch.float64)
    surface = Surface(list(net.parameters()), [lambda: net(inputs).square().mean()])
    before = sharpness(surface)
    with torch.no_grad():
        net[0].weight.mul_(10.0)
        net[2].weight.div_(10.0)
    after = sharpness(surface)
    assert after.losses == pytest.approx(before.losses, rel=1e-9) and before.rise(0.5) > before.rise(0.05)


def test_settling_finds_the_end_of_a_curved_valley_and_puts_the_weights_back() -> None:
    weights = nn.Parameter(torch.tensor([-1.0, 1.0], dtype=torch.float64))
    surface = Surface([weights], [lambda: (1 - weights[0]) ** 2 + 100 * (weights[1] - weights[0] ** 2) ** 2])
    assert settle(surface, 60) == pytest.approx(4.0, abs=1e-3)
    assert weights.tolist() == [-1.0, 1.0] and weights.grad is None


def test_settling_ends_where_the_loss_is_no_number() -> None:
    weights = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    surface = Surface([weights], [lambda: (weights[0].log() - 3.0).square() + (5.0 - weights[0]).sqrt()])
    assert settle(surface) > 0.0 and weights.tolist() == [1.0]


def smooth() -> Setup:
    return patients.regression(lambda: patients.perceptron(3, 24, 1, activation=nn.Tanh))


def test_a_run_held_at_a_saddle_is_told_and_goes_on_from_beyond_it() -> None:
    stuck = start_at_saddle(smooth())
    run = fit(stuck)
    assert run.losses[-1] == pytest.approx(run.losses[0], rel=0.01)
    found = end_point(stuck, run.model, len(run.losses), 0.9 * run.losses[-1])
    assert found.kind is Kind.SADDLE and found.agreement == pytest.approx(1.0, abs=0.05)
    assert found.negative_share > 0.0 and found.continuation is not None
    assert found.continuation.escaped < 0.95 * found.continuation.stayed
    assert found.density is not None and found.descent is not None  # kept to be drawn
    assert min(map(min, found.density.nodes)) == pytest.approx(found.point.smallest, rel=0.1)
    assert min(found.descent.losses) == pytest.approx(found.point.loss - found.point.escape_fall, rel=0.01)
    assert fit(escaping_start(stuck)).losses[-1] < 0.7 * run.losses[-1]


def test_measuring_the_end_leaves_the_model_as_it_was() -> None:
    setup = patients.bars(
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)),
        epochs=1,
    )
    run = fit(setup)
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    random = torch.random.get_rng_state()
    found = end_point(setup, run.model, len(run.losses))
    assert all(torch.equal(value, before[name]) for name, value in run.model.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), random) and math.isfinite(found.condition)


def test_what_takes_longer_than_it_may_is_not_measured() -> None:
    run = fit(smooth(), steps=2)
    with pytest.raises(NotMeasurable, match="longer than a run may"):
        end_point(smooth(), run.model, 2, seconds=1e-9)
