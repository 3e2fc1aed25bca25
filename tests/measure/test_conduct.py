"""Modes, schedules, frozen weights, broken paths and clipping, against known answers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ExponentialLR, OneCycleLR, StepLR

from unstuck import patients
from unstuck.edits.written_step import write_step
from unstuck.loop import fit
from unstuck.measure.clipping import Clipping
from unstuck.measure.first_steps import FirstSteps
from unstuck.measure.frozen_weights import FrozenWeights
from unstuck.measure.gradient_path import GradientPath
from unstuck.measure.modes import Modes
from unstuck.measure.preparation import Prepared, Trained
from unstuck.measure.rate_schedule import RateSchedule
from unstuck.setup import Setup


def test_modes_of_a_sound_set_up() -> None:
    def network() -> nn.Module:
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))

    found = Modes.measure(Prepared.measure(patients.shells(network)))
    assert (found.normalisers, found.dropouts) == (1, 1)
    assert found.unfed == found.awake == () and found.asleep == found.settled == 0
    assert found.effect == 0.0 and found.eval_line == found.train_line == ""


def test_modes_of_a_step_that_calls_eval_and_a_forward_that_calls_train() -> None:
    def network() -> nn.Module:
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))

    def step(model: nn.Module, optimizer: Optimizer, batch: Any) -> Tensor:
        model.eval()
        loss = functional.cross_entropy(model(batch[0]), batch[1])
        loss.backward()
        optimizer.step()
        return loss

    def forward(model: nn.Module, batch: Any) -> Any:
        model.train()
        return model(batch[0])

    found = Modes.measure(Prepared.measure(patients.shells(network, train_step=step, forward=forward)))
    assert found.unfed == ("1",) and found.asleep == 1
    assert found.awake == ("1", "3") and found.effect > 0.01
    assert found.eval_line.startswith("test_conduct.py:") and found.train_line.startswith("test_conduct.py:")


def test_modes_name_the_line_of_functional_dropout() -> None:
    class Deaf(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(4, 3)

        def forward(self, inputs: Tensor) -> Tensor:
            outputs: Tensor = self.last(functional.dropout(inputs, 0.5))
            return outputs

    found = Modes.measure(Prepared.measure(patients.shells(Deaf)))
    line = Deaf.forward.__code__.co_firstlineno + 1
    assert found.dropout_line == f"test_conduct.py:{line}" and found.effect > 0.1


def schedule_of(**others: Any) -> RateSchedule:
    """Of a run of 20 epochs of 10 batches."""
    return RateSchedule.measure(Prepared.measure(patients.shells(optimizer=patients.sgd(1.0), **others)))


@pytest.mark.filterwarnings("error")
def test_schedules_are_played_through() -> None:
    assert not schedule_of().exists
    by_epoch = schedule_of(scheduler=lambda optimizer: StepLR(optimizer, 3, 0.1))
    assert not by_epoch.per_batch and by_epoch.spent == by_epoch.spent_by_epoch == pytest.approx(14 / 20)
    by_batch = schedule_of(scheduler=lambda optimizer: StepLR(optimizer, 30, 0.1), schedule_every="step")
    assert by_batch.per_batch and by_batch.spent == pytest.approx(140 / 200) and by_batch.spent_by_epoch == 0.0
    cycle = schedule_of(scheduler=lambda optimizer: OneCycleLR(optimizer, 1.0, total_steps=200))
    assert cycle.per_batch and cycle.spent < 0.2


def test_a_schedule_inside_the_step_is_found_with_its_line() -> None:
    def step(model: nn.Module, optimizer: Optimizer, batch: Any) -> Tensor:
        group = optimizer.param_groups[0]
        if "schedule" not in group:
            group["schedule"] = ExponentialLR(optimizer, 0.8)
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(batch[0]), batch[1])
        loss.backward()
        optimizer.step()
        group["schedule"].step()
        return loss

    found = schedule_of(train_step=step)
    assert found.inside and found.per_batch and not found.ahead
    assert found.line == f"test_conduct.py:{step.__code__.co_firstlineno + 8}"
    # 0.8 ** n <= 0.01 from n = 21 on; four of the batches have been used up by looking.
    assert found.spent == pytest.approx((200 - 21) / 200, abs=5 / 200) and found.spent_by_epoch < 0.1


def test_frozen_weights_tell_drawn_from_fixed() -> None:
    def network() -> nn.Module:
        fixed = nn.Linear(4, 6, bias=False)
        nn.init.eye_(fixed.weight)
        return nn.Sequential(fixed.requires_grad_(False), nn.Linear(6, 5).requires_grad_(False), nn.Linear(5, 3))

    found = FrozenWeights.measure(Prepared.measure(patients.shells(network)))
    assert (found.total, found.frozen, found.drawn) == (24 + 35 + 18, 24 + 35, 35)
    assert found.layers == ("0", "1") and found.draws_weights
    live = FrozenWeights.measure(Prepared.measure(patients.shells(network())))
    assert (live.frozen, live.drawn, live.draws_weights) == (59, 0, False)


def path_of(model: Any, **others: Any) -> GradientPath:
    prepared = Prepared.measure(patients.shells(model, **others))
    return GradientPath.measure(prepared, FirstSteps.measure(prepared))


class Two(nn.Module):
    """A body and a head, and what lies between."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.body, self.head, self.spare, self.way = nn.Linear(4, 6), nn.Linear(6, 3), nn.Linear(4, 2), way

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.body(inputs).relu()
        if self.way == "numpy":
            hidden = torch.from_numpy(hidden.detach().numpy())
        elif self.way == "argmax":
            hidden = functional.one_hot(hidden.argmax(1), 6).float()
        elif self.way == "sign":
            hidden = torch.sign(hidden - 0.5)
        elif self.way == "dead":
            hidden = (hidden - 1e6).relu()
        outputs: Tensor = self.head(hidden)
        return outputs


@pytest.mark.parametrize(("way", "seen"), [("numpy", "detach"), ("argmax", "argmax"), ("sign", "sign")])
def test_a_broken_path_is_told_from_an_unused_layer(way: str, seen: str) -> None:
    found = path_of(lambda: Two(way))
    assert found.layers == ("body",) and found.cut_off == 30 and found.change > 1e-5
    assert found.unused == ("spare",)
    assert seen in found.ways and all(line.startswith("test_conduct.py:") for line in found.lines) and found.lines


@pytest.mark.parametrize("way", ["", "dead"])
def test_a_whole_path_is_whole_also_before_dead_units(way: str) -> None:
    found = path_of(lambda: Two(way))
    assert found.layers == () and found.cut_off == 0 and found.change == 0.0


def test_a_teacher_that_follows_by_averages_is_not_cut_off() -> None:
    class Taught(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.student, self.teacher = nn.Linear(4, 3), nn.Linear(4, 3)

        def forward(self, inputs: Tensor) -> Tensor:
            outputs: Tensor = self.student(inputs)
            return outputs

    def step(model: Any, optimizer: Optimizer, batch: Any) -> Tensor:
        optimizer.zero_grad()
        outputs = model(batch[0])
        with torch.no_grad():
            wanted = model.teacher(batch[0])
        loss = functional.cross_entropy(outputs, batch[1]) + (outputs - wanted).square().mean()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for mine, yours in zip(model.teacher.parameters(), model.student.parameters(), strict=True):
                mine.lerp_(yours, 0.05)
        return loss

    assert path_of(Taught, train_step=step).layers == ()


def clipping_of(setup: Setup) -> Clipping:
    return Clipping.measure(Trained(fit(setup)))


def test_clipping_is_measured_against_the_gradients_as_they_arrived() -> None:
    setup = patients.shells(optimizer=patients.sgd(0.01), epochs=1)
    plain = clipping_of(setup)
    assert plain.clipped == 0.0 and plain.line == ""
    clipped = clipping_of(write_step(setup, "zero_grad", "backward", "clip", "step", clip_norm=1e-3))
    assert clipped.clipped == 1.0 and clipped.threshold == pytest.approx(1e-3, rel=1e-2)
    assert clipped.low == pytest.approx(plain.low, rel=0.2) and clipped.high == pytest.approx(plain.high, rel=0.2)


def stepping(change: Any) -> Any:
    def step(model: nn.Module, optimizer: Optimizer, batch: Any) -> Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(batch[0]), batch[1])
        change(loss, model)
        optimizer.step()
        return loss

    return step


def by_value(loss: Tensor, model: nn.Module) -> None:
    loss.backward()
    nn.utils.clip_grad_value_(model.parameters(), 1e-4)


def by_hand(loss: Tensor, model: nn.Module) -> None:
    loss.backward()
    gradients = [each.grad for each in model.parameters() if each.grad is not None]
    size = torch.sqrt(sum((each.square().sum() for each in gradients), torch.zeros(())))
    for each in gradients:
        each.mul_(1e-3 / size)


def scaled(loss: Tensor, model: nn.Module) -> None:
    (1024.0 * loss).backward()
    for each in model.parameters():
        assert each.grad is not None
        each.grad /= 1024.0


@pytest.mark.parametrize(("change", "clips"), [(by_value, True), (by_hand, True), (scaled, False)])
def test_whatever_clips_is_seen_and_scaling_is_none(change: Any, clips: bool) -> None:
    found = clipping_of(patients.shells(optimizer=patients.sgd(0.01), epochs=1, train_step=stepping(change)))
    assert found.clipped == float(clips)
    assert found.line.startswith("test_conduct.py:") is (change is by_value)
