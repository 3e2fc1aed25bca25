"""Hessian products against central differences of gradients, in float64, through every kind of layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unstuck import Setup
from unstuck.measure.curvature import Surface, surface_of
from unstuck.measure.curvature.modes import Statistics
from unstuck.measure.protocol import NotMeasurable

STEP = 1e-5


class Attention(nn.Module):
    """Fused attention as users write it, with a residual and a layer norm."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.pairs = nn.Linear(4, 8), nn.Linear(8, 24)
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, values: Tensor) -> Tensor:
        hidden = self.embed(values.unflatten(1, (3, 4)))
        queries, keys, found = self.pairs(hidden).unflatten(2, (2, 12)).transpose(1, 2).chunk(3, dim=3)
        mixed = F.scaled_dot_product_attention(queries, keys, found).transpose(1, 2).flatten(2)
        scores: Tensor = self.head(self.norm(hidden + mixed).mean(dim=1))
        return scores


class Recurrent(nn.Module):
    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.body, self.head = kind(4, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, values: Tensor) -> Tensor:
        scores: Tensor = self.head(self.body(values.unflatten(1, (3, 4)))[0][:, -1])
        return scores


class Tied(nn.Module):
    """The same weights on the way in and on the way out, and once more as an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.head = nn.Linear(12, 6), nn.Linear(6, 3)
        self.again = self.head
        self.unused = nn.Linear(2, 2)

    def forward(self, values: Tensor) -> Tensor:
        hidden = torch.tanh(self.inner(values))
        back = F.linear(hidden, self.inner.weight.T)
        scores: Tensor = self.head(torch.tanh(self.inner(back))) + self.again(hidden)
        return scores


def around(norm: nn.Module) -> nn.Module:
    """A norm over eight channels between two convolutions."""
    return nn.Sequential(
        nn.Unflatten(1, (3, 4)), nn.Conv1d(3, 8, 2), norm, nn.Tanh(), nn.Conv1d(8, 2, 2), nn.Flatten(), nn.Linear(4, 3)
    )


def transformer() -> nn.Module:
    block = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.3, batch_first=True, activation=F.gelu)
    return nn.Sequential(nn.Unflatten(1, (3, 4)), block, nn.Flatten(), nn.Linear(12, 3))


MODELS: dict[str, Callable[[], nn.Module]] = {
    "perceptron": lambda: nn.Sequential(nn.Linear(12, 7), nn.GELU(), nn.Linear(7, 3)),
    "batch-norm": lambda: around(nn.BatchNorm1d(8)),
    "layer-norm": lambda: around(nn.LayerNorm(3)),
    "group-norm": lambda: around(nn.GroupNorm(2, 8)),
    "instance-norm": lambda: around(nn.InstanceNorm1d(8, affine=True)),
    "tracking instance-norm": lambda: around(nn.InstanceNorm1d(8, affine=True, track_running_stats=True)),
    "fused attention": Attention,
    "transformer with dropout": transformer,
    "dropout": lambda: nn.Sequential(nn.Linear(12, 7), nn.Tanh(), nn.Dropout(0.5), nn.Linear(7, 3)),
    "gru": lambda: Recurrent(nn.GRU),
    "lstm": lambda: Recurrent(nn.LSTM),
    "rnn": lambda: Recurrent(nn.RNN),
    "tied weights, and some without a path": Tied,
}


def set_up(factory: Callable[[], nn.Module], dtype: torch.dtype = torch.float64, loss: Any = None) -> Setup:
    draws = torch.Generator().manual_seed(3)
    inputs, labels = torch.randn(24, 12, generator=draws).to(dtype), torch.randint(3, (24,), generator=draws)

    def model() -> nn.Module:
        torch.manual_seed(5)
        net = factory().to(dtype)
        with torch.no_grad():
            for name, buffer in net.named_buffers():
                if name.endswith("running_var"):
                    buffer.fill_(1.7)
        return net

    return Setup.of(
        model=model,
        loss=loss or nn.CrossEntropyLoss(),
        optimizer=lambda parameters: torch.optim.SGD(parameters, 0.1),
        train=(inputs, labels),
        batch_size=8,
    )


def surface(setup: Setup, statistics: Statistics = Statistics.BATCH, memory: float | None = None) -> Surface:
    return surface_of(setup, setup.build()[0], setup.train.head(24), statistics, memory)


def differences(of: Surface, vector: Tensor) -> Tensor:
    start = of.point()
    with of.at(start + STEP * vector):
        ahead = of.gradient().vector
    with of.at(start - STEP * vector):
        behind = of.gradient().vector
    return (ahead - behind) / (2.0 * STEP)


def off(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("statistics", Statistics)
@pytest.mark.parametrize("name", MODELS)
def test_product_agrees_with_central_differences(name: str, statistics: Statistics) -> None:
    of = surface(set_up(MODELS[name]), statistics)
    vector = torch.randn(of.size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = differences(of, vector)
    for _ in range(2):  # the second time through the kept graph
        assert off(of.product(vector), expected) < 3e-6
    assert of.kept > 0 and float(expected.norm()) > 1e-3


@pytest.mark.parametrize("name", ["batch-norm", "fused attention", "gru"])
def test_what_does_not_fit_is_computed_anew(name: str) -> None:
    setup = set_up(MODELS[name])
    kept, anew = surface(setup), surface(setup, memory=1.0)
    vector = torch.ones(kept.size, dtype=torch.float64)
    assert torch.allclose(kept.product(vector), anew.product(vector), rtol=1e-10, atol=1e-12)
    assert anew.kept == 0 and kept.kept > 0


def test_batch_statistics_and_stored_ones_are_two_surfaces_and_buffers_stay() -> None:
    setup = set_up(MODELS["batch-norm"])
    model = setup.build()[0]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    vector = torch.ones(sum(p.numel() for p in model.parameters()), dtype=torch.float64)
    found = [surface_of(setup, model, setup.train.head(24), kind).product(vector) for kind in Statistics]
    assert not torch.allclose(*found, rtol=1e-2)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert all(m.track_running_stats for m in model.modules() if isinstance(m, nn.BatchNorm1d))


def test_batches_are_joined_only_where_the_loss_is_a_mean() -> None:
    summed = nn.CrossEntropyLoss(reduction="sum")
    assert len(surface(set_up(MODELS["perceptron"])).weights) == 1
    assert len(surface(set_up(MODELS["perceptron"], loss=summed)).weights) == 3
    assert len(surface(set_up(MODELS["batch-norm"])).weights) == 3
    assert len(surface(set_up(MODELS["batch-norm"]), Statistics.STORED).weights) == 1


def test_frozen_and_tied_parameters_are_counted_once_or_not_at_all() -> None:
    def frozen() -> nn.Module:
        net = Tied()
        net.inner.weight.requires_grad_(False)
        return net

    full, less = surface(set_up(Tied)), surface(set_up(frozen))
    assert full.size == 12 * 6 + 6 + 6 * 3 + 3 + 6 and less.size == full.size - 72
    vector = torch.randn(less.size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert off(less.product(vector), differences(less, vector)) < 3e-6


def test_half_precision_is_widened() -> None:
    half = surface(set_up(MODELS["perceptron"], torch.bfloat16))
    assert half.like.dtype is torch.float32
    vector = torch.ones(half.size)
    assert torch.isfinite(half.product(vector)).all()


def test_nothing_trainable_is_not_measurable() -> None:
    setup = set_up(MODELS["perceptron"])
    with pytest.raises(NotMeasurable):
        surface_of(setup, setup.build()[0].requires_grad_(False), setup.train.head(24))


def test_a_loss_linear_in_the_weights_has_no_curvature() -> None:
    setup = set_up(lambda: nn.Linear(12, 3), loss=lambda outputs, targets: outputs.mean())
    of = surface(setup)
    assert float(of.product(torch.ones(of.size, dtype=torch.float64)).norm()) == 0.0


def test_gradient_noise_is_that_of_the_mean_of_the_batches() -> None:
    setup = set_up(MODELS["batch-norm"])
    of = surface(setup)
    model = setup.build()[0]
    parts = torch.stack([surface_of(setup, model, [b]).gradient().vector for b in setup.train.head(24)])
    found = of.gradient()
    assert torch.allclose(found.vector, parts.mean(dim=0))
    assert found.noise == pytest.approx(float((parts.var(dim=0).sum() / 3).sqrt()), rel=1e-9)


def test_moving_and_measuring_elsewhere_leaves_no_trace() -> None:
    of = surface(set_up(MODELS["gru"]))
    before, start = of.loss(), of.point()
    away = of.loss_at(start + 0.1)
    assert away != before and of.loss() == before and torch.equal(of.point(), start)
