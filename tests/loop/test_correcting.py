"""Corrections of a training step: neutral where unused, and each does what it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ExponentialLR, LRScheduler, SequentialLR

from tests.tiny import line
from unstuck.edits.written_step import write_step
from unstuck.loop import evaluate, fit
from unstuck.loop.correcting import scheduler_calls
from unstuck.patients import sgd, shells
from unstuck.setup import Edit, Setup
from unstuck.setup.corrections import Corrections
from unstuck.setup.describe import difference

USUAL = ("zero_grad", "backward", "step")


def weights(setup: Setup, **others: Any) -> list[float]:
    model = fit(setup, **others).model
    return torch.cat([each.detach().flatten() for each in model.parameters()]).tolist()


def test_no_correction_is_no_change() -> None:
    setup = line()
    assert setup.corrections.none and not setup.corrections.described()
    assert difference(setup, replace(setup, corrections=Corrections())) == ()


@pytest.mark.parametrize("name", ["clear_gradients", "in_order", "keep_graph", "modes", "schedule_by_epoch"])
def test_a_sound_step_is_the_same_with_a_correction_bit_for_bit(name: str) -> None:
    setup = shells(epochs=2, optimizer=sgd(0.1, 0.9))
    assert weights(setup.corrected(**{name: True})) == weights(setup)


def test_clipping_above_every_gradient_changes_nothing() -> None:
    setup = shells(epochs=2, optimizer=sgd(0.1, 0.9))
    assert weights(setup.corrected(clip_norm=1e9)) == pytest.approx(weights(setup), rel=1e-5)


@pytest.mark.parametrize(
    "order",
    [("zero_grad", "step", "backward"), ("backward", "zero_grad", "step"), ("backward", "step"), USUAL, USUAL[:2]],
    ids=str,
)
def test_any_order_becomes_the_usual_one_bit_for_bit(order: tuple[str, ...]) -> None:
    setup = shells(epochs=2, optimizer=sgd(0.1, 0.9))
    assert weights(write_step(setup, *order).corrected(in_order=True)) == weights(setup)


def test_a_clip_behind_the_step_comes_before_it() -> None:
    setup = shells(epochs=1, optimizer=sgd(0.1, 0.9))
    late = write_step(setup, "zero_grad", "backward", "step", "clip", clip_norm=1e-2).corrected(in_order=True)
    early = write_step(setup, "zero_grad", "backward", "clip", "step", clip_norm=1e-2)
    assert weights(late) == weights(early) != weights(setup)


def test_clipping_undoes_a_smaller_clip() -> None:
    setup = shells(epochs=1, optimizer=sgd(0.1, 0.9))
    clipped = write_step(setup, "zero_grad", "backward", "clip", "step", clip_norm=1e-3)
    assert weights(clipped.corrected(clip_norm=0.3)) == pytest.approx(
        weights(write_step(setup, "zero_grad", "backward", "clip", "step", clip_norm=0.3)), rel=1e-5
    )


def test_clipping_keeps_gradients_that_were_added_up() -> None:
    setup = shells(epochs=1, optimizer=sgd(0.1), batch_size=16)

    def adding_up(model: nn.Module, optimizer: Optimizer, batch: Any) -> Tensor:
        loss = functional.cross_entropy(model(batch[0]), batch[1])
        loss.backward()
        group = optimizer.param_groups[0]
        group["calls"] = group.get("calls", 0) + 1
        if group["calls"] % 2 == 0:
            optimizer.step()
            optimizer.zero_grad()
        return loss

    given = replace(setup, train_step=adding_up)
    assert weights(given.corrected(clip_norm=1e9)) == pytest.approx(weights(given), rel=1e-5)


def test_a_schedule_inside_the_step_is_stepped_once_an_epoch() -> None:
    def decaying(model: nn.Module, optimizer: Optimizer, batch: Any) -> Tensor:
        group = optimizer.param_groups[0]
        if "schedule" not in group:
            group["schedule"] = ExponentialLR(optimizer, 0.5)
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(batch[0]), batch[1])
        loss.backward()
        optimizer.step()
        group["schedule"].step()
        return loss

    setup = shells(epochs=3, optimizer=sgd(0.1), train_step=decaying)
    usual = shells(epochs=3, optimizer=sgd(0.1), scheduler=lambda optimizer: ExponentialLR(optimizer, 0.5))
    assert fit(setup.corrected(schedule_by_epoch=True)).record.rates == fit(usual).record.rates
    assert weights(setup.corrected(schedule_by_epoch=True)) == weights(usual)


def test_scheduler_classes_are_put_back_and_composed_ones_count_once() -> None:
    before = LRScheduler.step, SequentialLR.step
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 1.0)
    parts = [ExponentialLR(optimizer, 0.5), ExponentialLR(optimizer, 0.9)]
    composed = SequentialLR(optimizer, parts, milestones=[2])
    asked: list[object] = []

    def note(scheduler: LRScheduler) -> bool:
        asked.append(scheduler)
        return True

    optimizer.step()
    with pytest.raises(KeyError), scheduler_calls(note):
        composed.step()
        raise KeyError
    assert asked == [composed] and optimizer.param_groups[0]["lr"] == 0.5
    assert (LRScheduler.step, SequentialLR.step) == before


class Cut(nn.Module):
    def __init__(self, way: str) -> None:
        super().__init__()
        self.first, self.last, self.way = nn.Linear(4, 8), nn.Linear(8, 3), way

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.first(inputs)
        if self.way == "detach":
            hidden = hidden.detach()
        elif self.way == "data":
            hidden = hidden.data
        elif self.way == "no_grad":
            with torch.no_grad():
                hidden = self.first(inputs)
        outputs: Tensor = self.last(hidden)
        return outputs


@pytest.mark.parametrize("way", ["detach", "data", "no_grad"])
def test_a_graph_that_is_kept_trains_as_one_that_was_never_cut(way: str) -> None:
    cut, whole = (shells(lambda way=each: Cut(way), epochs=2) for each in (way, ""))  # type: ignore[misc]
    assert weights(cut) != weights(whole)
    assert weights(cut.corrected(keep_graph=True)) == weights(whole)


def test_rounding_lets_the_gradient_straight_through() -> None:
    def rounding(model: nn.Module) -> nn.Module:
        model.register_forward_hook(lambda module, inputs, outputs: torch.round(outputs))
        return model

    setup = line(epochs=1).with_edit(Edit("outputs", "", "", rounding)).corrected(keep_graph=True)
    batch = next(iter(setup.train.batches(torch.Generator().manual_seed(setup.seed))))
    run = fit(setup, steps=1)
    # From a level line the outputs round to themselves, 0: the step is that of least squares.
    slope = -0.1 * (2.0 * (0.0 - batch[1]) * batch[0]).mean()
    assert isinstance(run.model, nn.Linear)
    assert run.model.weight.item() == pytest.approx(float(slope), rel=1e-5)


class Dropping(nn.Module):
    """Dropout that asks nobody, before the last layer."""

    def __init__(self, told: bool) -> None:
        super().__init__()
        self.first, self.last, self.told = nn.Linear(4, 32), nn.Linear(32, 3), told

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = functional.dropout(self.first(inputs).relu(), 0.5, training=self.training if self.told else True)
        outputs: Tensor = self.last(hidden)
        return outputs


def test_functional_dropout_is_off_in_evaluation_and_on_in_training() -> None:
    deaf, told = (shells(lambda told=each: Dropping(told), epochs=2) for each in (False, True))  # type: ignore[misc]
    right = deaf.corrected(modes=True)
    runs = [fit(setup) for setup in (deaf, right, told)]
    assert runs[0].losses == runs[1].losses == runs[2].losses
    losses = [
        evaluate(setup, run.model, setup.train).loss for setup, run in zip((deaf, right, told), runs, strict=True)
    ]
    assert losses[1] == losses[2] != losses[0]


def test_modules_follow_the_gradients_whatever_the_step_says() -> None:
    seen: list[tuple[bool, bool]] = []

    def noting(model: nn.Module) -> nn.Module:
        def note(module: nn.Module, *_: Any) -> None:
            seen.append((torch.is_grad_enabled(), module.training))

        model.register_forward_hook(note)
        return model

    def asleep(model: nn.Module, optimizer: Optimizer, batch: Any) -> Tensor:
        model.eval()
        loss = functional.cross_entropy(model(batch[0]), batch[1])
        loss.backward()
        return loss

    def awake(model: nn.Module, batch: Any) -> Any:
        model.train()
        return model(batch[0])

    setup = shells(epochs=1, train_step=asleep, forward=awake).with_edit(Edit("hooks", "", "", noting))
    fit(setup)
    assert (True, False) in seen and (False, True) in seen
    seen.clear()
    fit(setup.corrected(modes=True))
    assert set(seen) == {(True, True), (False, False)}


def test_a_cured_set_up_reads_well() -> None:
    setup = line()
    changes = difference(setup, setup.corrected(in_order=True, clip_norm=2.5))
    assert [(change.field, change.after) for change in changes] == [
        ("step.order", "clear gradients, forward, backward, clip, optimizer.step"),
        ("step.clipping", "norm of the gradient clipped at 2.5"),
    ]
