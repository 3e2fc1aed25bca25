"""The profile over depth against numbers worked out by hand, on modules and on functions alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from unstuck import Setup, patients
from unstuck.edits.biases import shift_biases
from unstuck.examine import Examination
from unstuck.measure.depth_profile import SAMPLES, ActivationState, DepthProfile, TrainedDepth
from unstuck.measure.preparation import Allowance, Prepared, Trained
from unstuck.measure.protocol import Unmeasured


def profile_of(setup: Setup) -> DepthProfile:
    return DepthProfile.measure(Prepared.measure(setup))


class Called(nn.Module):
    """Two hidden layers whose activations are functions, the second one in place, and a dropout between."""

    def __init__(self, first: Callable[[Tensor], Tensor], second: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.one, self.two, self.last = nn.Linear(4, 16), nn.Linear(16, 8), nn.Linear(8, 3)
        self.first, self.second = first, second

    def forward(self, values: Tensor) -> Tensor:
        hidden = functional.dropout(self.first(self.one(values)), 0.5, self.training)
        outputs: Tensor = self.last(self.second(self.two(hidden)))
        return outputs


class Gated(nn.Module):
    """A gate of sigmoids, always open, and a last activation, always at its end: neither is a hidden activation."""

    def __init__(self) -> None:
        super().__init__()
        self.value, self.gate, self.last = nn.Linear(4, 8), nn.Linear(4, 8), nn.Linear(8, 3)
        with torch.no_grad():
            self.gate.bias.fill_(20.0)
            self.last.bias.fill_(20.0)

    def forward(self, values: Tensor) -> Tensor:
        return torch.sigmoid(self.last(torch.tanh(self.value(values) * torch.sigmoid(self.gate(values)))))


def test_variances_and_gradients_are_those_of_a_slow_twin() -> None:
    torch.manual_seed(3)
    net = patients.perceptron(4, 16, 8, 3).double()
    setup = patients.shells(lambda: patients.perceptron(4, 16, 8, 3))
    inputs = torch.randn(100, 4, dtype=torch.float64)
    labels = torch.randint(3, (100,))
    setup = Setup.of(
        model=net, loss=nn.CrossEntropyLoss(), optimizer=torch.optim.SGD(net.parameters(), 0.1),
        train=(inputs, labels), validation=(inputs, labels), batch_size=100,
    )  # fmt: skip
    found = profile_of(setup)
    hidden, outputs = inputs, []
    for layer in net:
        hidden = layer(hidden)
        if isinstance(layer, nn.Linear):
            hidden.retain_grad()
            outputs.append((layer, hidden))
    functional.cross_entropy(hidden, labels).backward()
    for state, (layer, output) in zip(found.layers, outputs, strict=True):
        spread = output.detach().var(0, unbiased=False).mean().sqrt()
        assert state.signal == pytest.approx(float(spread), rel=1e-9)
        assert output.grad is not None
        assert state.gradient == pytest.approx(float(output.grad.square().mean().sqrt()), rel=1e-5)
        rule = 2.0 / layer.in_features if layer is not net[-1] else 2.0 / (layer.in_features + layer.out_features)
        size = float(layer.weight.detach().square().mean().sqrt())
        assert state.scale == pytest.approx(size / math.sqrt(rule), rel=1e-5)
        signs = layer.weight.grad.sign()
        signs = signs[signs.abs().sum(1) > 0]  # a dead unit is pushed no way
        assert state.coherence == pytest.approx(float((signs.sum(1).abs() / signs.abs().sum(1)).mean()), rel=1e-5)
    fed = torch.relu(outputs[0][1].detach())
    assert found.layers[1].off_centre == pytest.approx(
        float(fed.mean(0).square().mean().sqrt() / fed.var(0, unbiased=False).mean().sqrt()), rel=1e-9
    )
    assert [state.one_sign for state in found.layers[1:]] == [1.0, 1.0]


def test_a_sound_draw_of_relus_keeps_the_signal_as_he_predicts() -> None:
    found = profile_of(patients.shells(lambda: patients.perceptron(4, 512, 512, 512, 3)))
    first, *others = found.hidden
    assert [layer.sound_signal / first.sound_signal for layer in others] == pytest.approx([1.0, 1.0], rel=0.35)
    # torch's own draw has a sixth of He's variance
    assert [layer.scale for layer in found.hidden] == pytest.approx([6**-0.5] * 3, rel=0.05)


def test_weights_times_a_hundred_show_as_such() -> None:
    def model() -> nn.Module:
        net = patients.perceptron(4, 32, 32, 3)
        with torch.no_grad():
            net[0].weight.mul_(100.0)
        return net

    plain, large = profile_of(patients.shells()), profile_of(patients.shells(model))
    assert large.layers[0].scale == pytest.approx(100.0 * plain.layers[0].scale)
    assert large.layers[0].signal == pytest.approx(100.0 * plain.layers[0].signal)


@pytest.mark.parametrize(
    "model",
    [
        lambda: Called(functional.relu, lambda values: functional.relu(values, inplace=True)),
        lambda: Called(torch.relu, torch.relu_),
        lambda: patients.perceptron(4, 16, 8, 3),
        lambda: nn.Sequential(
            nn.Linear(4, 16), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)
        ),
    ],
    ids=["F.relu", "torch.relu", "modules", "in place"],
)
def test_dead_units_are_counted_exactly(model: Callable[[], nn.Module]) -> None:
    def dying() -> nn.Module:
        net = model()
        layers = [layer for layer in net.modules() if isinstance(layer, nn.Linear)]
        with torch.no_grad():
            layers[0].bias[:4] = -100.0
            layers[1].bias[:6] = -100.0
            layers[0].bias[4:] = layers[1].bias[6:] = 100.0
        return net

    found = profile_of(patients.shells(dying))
    assert [state.dead for state in found.activations] == [0.25, 0.75]
    assert [state.units for state in found.activations] == [16, 8]
    assert [state.sound_dead for state in found.activations] != [0.25, 0.75]


def test_a_unit_that_is_off_on_a_batch_only_is_alive() -> None:
    inputs = torch.full((256, 1), -1.0)
    inputs[200:] = 1.0
    net = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0], [-1.0]]))
        net[0].bias.zero_()
    setup = Setup.of(
        model=net, loss=nn.MSELoss(), optimizer=torch.optim.SGD(net.parameters(), 0.1),
        train=(inputs, inputs), validation=(inputs, inputs), batch_size=32,
    )  # fmt: skip
    (state,) = profile_of(setup).activations
    assert (state.dead, state.dead_on_batch) == (0.0, 0.5)


def test_channels_are_dead_only_where_they_are_everywhere() -> None:
    def model() -> nn.Module:
        net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 3))
        with torch.no_grad():
            net[0].bias.copy_(torch.tensor([-100.0, 0.0, 0.0, 0.0]))
        return net

    (state,) = profile_of(patients.bars(model)).activations
    assert (state.units, state.dead) == (4, 0.25)


@pytest.mark.parametrize("function", [torch.tanh, torch.sigmoid, functional.hardtanh, functional.softsign])
def test_saturated_units_are_counted_exactly(function: Callable[[Tensor], Tensor]) -> None:
    def model() -> nn.Module:
        net = Called(function, function)
        with torch.no_grad():
            net.one.bias[:4], net.one.bias[4:8] = 100.0, -100.0
            net.one.weight.mul_(0.1)
            net.one.bias[8:] = 0.0
            net.two.weight.mul_(0.1)
            net.two.bias.zero_()
        return net

    found = profile_of(patients.shells(model))
    assert [state.saturated for state in found.activations] == [0.5, 0.0]


def test_gates_and_the_last_activation_are_no_hidden_activations() -> None:
    found = profile_of(patients.shells(Gated))
    assert [state.function for state in found.activations] == ["tanh"]


def test_what_died_in_training_is_seen_afterwards() -> None:
    examination = Examination(patients.shells(optimizer=patients.sgd(3.0, 0.9)))
    examination.put(Allowance(20.0))
    start, end = examination.get(DepthProfile), examination.get(TrainedDepth)
    assert isinstance(start, DepthProfile) and isinstance(end, TrainedDepth)
    assert max(state.dead for state in start.activations) < 0.3
    assert max(state.dead for state in end.activations) > 0.9


def test_the_trained_model_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 3))
    prepared = Prepared.measure(patients.shells(model, optimizer=lambda p: torch.optim.SGD(p, 0.1), epochs=1))
    trained = Trained.measure(prepared, Allowance(20.0))
    before = {name: value.clone() for name, value in trained.run.model.state_dict().items()}
    modes = [module.training for module in trained.run.model.modules()]
    hooks = [len(module._forward_hooks) for module in trained.run.model.modules()]
    TrainedDepth.measure(prepared, trained)
    assert all(torch.equal(value, before[name]) for name, value in trained.run.model.state_dict().items())
    assert [module.training for module in trained.run.model.modules()] == modes
    assert [len(module._forward_hooks) for module in trained.run.model.modules()] == hooks


def test_frozen_layers_are_read_and_have_no_gradient() -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    net[0].requires_grad_(False)
    found = profile_of(patients.shells(net, optimizer=lambda parameters: torch.optim.SGD(list(parameters)[2:], 0.1)))
    assert [layer.trainable for layer in found.layers] == [False, True]
    assert math.isnan(found.layers[0].coherence) and not math.isnan(found.layers[1].coherence)


def test_the_users_forward_on_dict_batches_is_read() -> None:
    def forward(model: nn.Module, batch: Any) -> Tensor:
        outputs: Tensor = model(batch["x"])
        return outputs

    data = [{"x": torch.randn(4), "target": torch.tensor(index % 3)} for index in range(60)]
    setup = Setup.of(
        model=lambda: patients.perceptron(4, 8, 3), loss=nn.CrossEntropyLoss(), optimizer=patients.sgd(0.1),
        train=torch.utils.data.DataLoader(data, batch_size=20), forward=forward,  # type: ignore[arg-type]
    )  # fmt: skip
    assert [layer.name for layer in profile_of(setup).layers] == ["0", "2"]


def test_what_only_a_training_step_can_run_is_not_measured() -> None:
    def step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(batch["x"]), batch["y"])
        loss.backward()
        optimizer.step()
        return loss

    data = [{"x": torch.randn(4), "y": torch.tensor(index % 3)} for index in range(60)]
    setup = Setup.of(
        model=lambda: patients.perceptron(4, 8, 3), loss=None, optimizer=patients.sgd(0.1),
        train=torch.utils.data.DataLoader(data, batch_size=20), train_step=step,  # type: ignore[arg-type]
    )  # fmt: skip
    found = Examination(setup).get(DepthProfile)
    assert isinstance(found, Unmeasured)


def test_it_repeats() -> None:
    setup = patients.shells()
    examination = Examination(setup)
    first = examination.get(DepthProfile)
    assert isinstance(first, DepthProfile)
    assert first.samples <= SAMPLES
    assert repr(first) == repr(profile_of(setup))


def test_biases_moved_by_ten_deviations_kill_every_relu() -> None:
    found = profile_of(shift_biases(patients.shells(), frozenset({"Relu"}), -10.0))
    states: list[ActivationState] = list(found.activations)
    assert [state.dead for state in states] == [1.0, 1.0]
