"""What the first steps do to each layer, in which order, and at which line."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from unstuck import patients
from unstuck.edits.registration import with_parts_registered
from unstuck.edits.written_step import write_step
from unstuck.measure.first_steps import FirstSteps
from unstuck.measure.preparation import Prepared
from unstuck.setup import Setup


def first(setup: Setup) -> FirstSteps:
    return FirstSteps.measure(Prepared.measure(setup))


def clipping_late(model: nn.Module, optimizer: Optimizer, batch: Any) -> Tensor:
    optimizer.zero_grad()
    loss = functional.cross_entropy(model(batch[0]), batch[1])
    loss.backward()
    optimizer.step()
    for parameter in model.parameters():
        assert parameter.grad is not None
        parameter.grad *= 0.25
    return loss


def line_of(function: Any, text: str) -> str:
    source, start = inspect.getsourcelines(function)
    return f"test_first_steps.py:{start + next(number for number, line in enumerate(source) if text in line)}"


def test_a_healthy_step_reaches_and_moves_everything() -> None:
    found = first(patients.shells())
    assert found.order == ("zero_grad", "backward", "step")
    assert found.foreign == 0 and found.unregistered == ()
    assert found.step_line == "" == found.backward_line, "the usual step is no line of the user's"
    for layer in found.layers:
        assert layer.trainable == layer.optimised == layer.reached == layer.alive == layer.moved
    assert [layer.trainable for layer in found.layers] == [4 * 32 + 32, 32 * 32 + 32, 32 * 3 + 3]


def test_lines_are_those_of_the_users_step() -> None:
    found = first(patients.classification(train_step=clipping_late))
    assert found.step_line == line_of(clipping_late, "optimizer.step()")
    assert found.backward_line == line_of(clipping_late, "loss.backward()")
    assert found.clear_line == line_of(clipping_late, "zero_grad")


def test_a_gradient_changed_after_the_step_shows_by_its_factor() -> None:
    assert first(patients.classification(train_step=clipping_late)).late_norm == pytest.approx(0.25, rel=1e-5)
    assert first(patients.classification()).late_norm == pytest.approx(1.0, rel=1e-6)


def test_steps_on_cleared_gradients_have_raw_ones_only() -> None:
    found = first(write_step(patients.classification(), "backward", "zero_grad", "step"))
    assert found.order == ("backward", "zero_grad", "step")
    assert set(found.gradient_norms) == {0.0} and min(found.raw_norms) > 0.0
    assert not any(layer.moved for layer in found.layers)


def test_foreign_tensors_and_layers_left_out_are_counted() -> None:
    elsewhere = nn.Linear(3, 3)

    def factory(parameters: Any) -> Optimizer:
        return torch.optim.SGD([*list(parameters)[-2:], *elsewhere.parameters()], 0.1)

    found = first(patients.shells(optimizer=factory))
    assert found.foreign == 2
    assert [layer.optimised for layer in found.layers] == [0, 0, 99]
    assert [layer.moved for layer in found.layers] == [0, 0, 99]
    assert all(layer.alive == layer.trainable for layer in found.layers)


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.parts = {"a": [nn.Linear(4, 5)], "teacher": nn.Linear(4, 5)}
        self.scale = [nn.Parameter(torch.ones(5))]
        self.head = nn.Linear(5, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.head(torch.relu(self.parts["a"][0](inputs)) * self.scale[0])  # type: ignore[index]
        return outputs


def test_layers_in_plain_containers_are_found_and_registered() -> None:
    setup = patients.shells(Nested)
    assert set(first(setup).unregistered) == {"parts.a.0", "scale.0"}, "what gets no gradient is left alone"
    mended = with_parts_registered(setup)
    found = first(mended)
    assert found.unregistered == ()
    assert sum(layer.moved for layer in found.layers) == 4 * 5 + 5 + 5 + 5 * 3 + 3


def test_a_frozen_layer_and_a_tied_one_count_once() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Linear(4, 4)
            self.two = nn.Linear(4, 4)
            self.two.weight = self.one.weight
            self.head = nn.Linear(4, 3)
            self.head.bias.requires_grad_(False)

        def forward(self, inputs: Tensor) -> Tensor:
            outputs: Tensor = self.head(self.two(self.one(inputs).relu()))
            return outputs

    layers = {layer.name: layer.trainable for layer in first(patients.shells(Tied)).layers}
    assert layers == {"one": 20, "two": 4, "head": 12}
