"""`fit` trains exactly as a hand-written loop does, given the same order of samples."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

import unstuck
from tests.setup.accepted import columns, network, usual
from unstuck import Setup
from unstuck.errors import ExaminationError
from unstuck.loop import evaluate, fit
from unstuck.loop.batched import fit_together
from unstuck.setup.randomness import isolated, one_thread

Weights = dict[str, torch.Tensor]


def by_hand(
    arguments: dict[str, Any], seed: int = 0, factor: float = 1.0, every: str = "epoch"
) -> tuple[Weights, list[float]]:
    """The usual loop, as in any tutorial, on copies; the order is that of `torch.randperm`."""
    inputs, targets = arguments["train"]
    size, losses = arguments["batch_size"], []
    with isolated(seed), one_thread():
        model, optimizer = copy.deepcopy((arguments["model"], arguments["optimizer"]))
        for group in optimizer.param_groups:
            group["lr"] = group["lr"] * factor
        schedule = arguments["scheduler"](optimizer) if "scheduler" in arguments else None
        generator = torch.Generator().manual_seed(seed)
        model.train()
        for _ in range(arguments["epochs"]):
            order = torch.randperm(len(inputs), generator=generator)
            for chosen in order.split(size):
                optimizer.zero_grad()
                loss = arguments["loss"](model(inputs[chosen]), targets[chosen])
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
                if schedule is not None and every == "step":
                    schedule.step()
            if schedule is not None and every == "epoch":
                schedule.step()
            if schedule is not None and every == "plateau":
                schedule.step(sum(losses[-20:]) / len(losses[-20:]))
    return model.state_dict(), losses


def same(left: Weights, right: Weights) -> bool:
    return all(torch.equal(one, other) for one, other in zip(left.values(), right.values(), strict=True))


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2)
    )


MODELS: dict[str, Callable[[], nn.Module]] = {"dense": network, "convolutional": convolutional}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "NAdam"])
def test_the_same_weights_as_by_hand(model: str, name: str) -> None:
    torch.manual_seed(0)
    made = MODELS[model]()
    arguments = usual(model=made, optimizer=getattr(torch.optim, name)(made.parameters(), lr=0.02), epochs=3)
    weights, losses = by_hand(arguments)
    run = fit(Setup.of(**arguments), watched=True)
    assert list(run.losses) == losses
    assert same(run.model.state_dict(), weights)


SCHEDULES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "StepLR": (lambda o: lr_scheduler.StepLR(o, 1), "epoch"),
    "LambdaLR": (lambda o: lr_scheduler.LambdaLR(o, lambda t: 1 / (1 + t)), "step"),
    "OneCycleLR": (lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=20), "step"),
    "CosineAnnealingLR": (lambda o: lr_scheduler.CosineAnnealingLR(o, 3), "epoch"),
    "ReduceLROnPlateau": (lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0, threshold=0.9), "plateau"),
    "SequentialLR": (
        lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.LinearLR(o), lr_scheduler.ExponentialLR(o, 0.5)], [4]),
        "step",
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_as_by_hand(name: str) -> None:
    torch.manual_seed(0)
    make, every = SCHEDULES[name]
    arguments = usual(scheduler=make, epochs=3)
    weights, _ = by_hand(arguments, every=every)
    run = fit(Setup.of(**arguments, schedule_every="step" if every == "step" else None))
    assert same(run.model.state_dict(), weights)
    assert len(set(run.record.rates)) > 1


@pytest.mark.parametrize("name", ["StepLR", "OneCycleLR", "SequentialLR"])
def test_a_rate_factor_scales_every_step_whatever_the_schedule_sets(name: str) -> None:
    torch.manual_seed(0)
    make, every = SCHEDULES[name]
    arguments = usual(scheduler=make, epochs=3)
    setup = Setup.of(**arguments, schedule_every="step" if every == "step" else None)
    plain = fit(setup).record.rates
    scaled = fit(replace(setup, optimizer=setup.optimizer.with_rate_times(0.25))).record.rates
    assert scaled == pytest.approx([0.25 * rate for rate in plain])


def test_a_rate_factor_is_another_rate() -> None:
    torch.manual_seed(0)
    arguments = usual()
    weights, _ = by_hand(arguments, factor=0.5)
    setup = Setup.of(**arguments)
    halved = fit(replace(setup, optimizer=setup.optimizer.with_rate_times(0.5)))
    assert same(halved.model.state_dict(), weights)
    assert set(halved.record.rates) == {0.05}


def test_validating_does_not_change_the_training() -> None:
    torch.manual_seed(0)
    setup = Setup.of(**usual(validation=columns(20), epochs=4))
    validated, not_validated = fit(setup), fit(setup, validate=False)
    assert len(validated.validation_losses) == 4 and not not_validated.validation_losses
    assert validated.losses == not_validated.losses
    assert same(validated.model.state_dict(), not_validated.model.state_dict())


def test_validation_is_in_evaluation_mode() -> None:
    torch.manual_seed(0)
    setup = Setup.of(**usual(validation=columns(20)))
    run = fit(setup)
    model = copy.deepcopy(run.model).eval()
    inputs, targets = columns(20)
    loss = nn.functional.cross_entropy(model(inputs), targets).item()
    assert run.validation_losses[-1] == pytest.approx(loss, rel=1e-5)
    assert run.model.training


def test_layers_in_evaluation_mode_stay_so_while_the_rest_trains() -> None:
    torch.manual_seed(0)
    model = network()
    model[1].eval()
    run = fit(Setup.of(**usual(model=model, validation=columns())))
    assert torch.equal(run.model[1].running_mean, model[1].running_mean)
    assert run.model.training and not run.model[1].training


def test_seeds_differ_and_repeat() -> None:
    torch.manual_seed(0)
    setup = Setup.of(**usual(model=network, optimizer=torch.optim.Adam))
    runs = [fit(setup, seed=seed).losses for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_early_stopping_goes_back_to_the_best_epoch() -> None:
    torch.manual_seed(0)
    inputs, targets = columns()
    arguments = usual(train=(inputs, torch.randint(0, 2, (36,))), validation=(inputs, targets), epochs=8)
    arguments["optimizer"] = torch.optim.Adam(arguments["model"].parameters(), lr=0.05)
    setup = replace(Setup.of(**arguments), early_stopping=True)
    run = fit(setup)
    best = min(range(8), key=lambda epoch: run.validation_losses[epoch])
    assert best < 7
    until = fit(setup, steps=run.record.epoch_ends[best])
    assert same(run.model.state_dict(), until.model.state_dict())
    to_the_end = fit(replace(setup, early_stopping=False))
    assert run.ended is not None and same(dict(run.ended), to_the_end.model.state_dict())
    assert to_the_end.ended is None


def test_stops() -> None:
    torch.manual_seed(0)
    setup = Setup.of(**usual(epochs=50))
    assert len(fit(setup, steps=7).losses) == 7
    assert fit(setup, steps=7).record.stopped == "finished"
    cut = fit(setup, seconds=0.0)
    assert cut.record.stopped == "time" and len(cut.losses) == 1
    torch.manual_seed(0)
    wild = fit(
        Setup.of(
            **usual(
                loss=nn.functional.mse_loss,
                train=(columns()[0], columns()[0][:, :2]),
                optimizer=lambda p: torch.optim.SGD(p, lr=1e20),
                epochs=50,
            )
        )
    )
    assert wild.record.stopped == "non-finite"
    assert not math.isfinite(wild.losses[-1]) and all(map(math.isfinite, wild.losses[:-1]))


def test_epoch_ends_and_unfinished_epochs() -> None:
    setup = Setup.of(**usual(epochs=3))
    record = fit(setup, steps=12).record
    assert record.epoch_ends == (5, 10)
    assert len(record.epoch_losses()) == 3


def test_lbfgs_as_by_hand() -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    arguments = usual(model=model, optimizer=torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=4))
    mine = copy.deepcopy(model)
    own = torch.optim.LBFGS(mine.parameters(), lr=0.5, max_iter=4)  # which deepcopy cannot copy
    inputs, targets = columns()
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        for chosen in torch.randperm(36, generator=generator).split(8):

            def closure(chosen: torch.Tensor = chosen) -> torch.Tensor:
                own.zero_grad()
                loss = nn.functional.cross_entropy(mine(inputs[chosen]), targets[chosen])
                loss.backward()
                return loss

            own.step(closure)
    run = fit(Setup.of(**arguments), watched=True)
    assert same(run.model.state_dict(), mine.state_dict())
    assert min(run.record.layers[0].gradient_norm[:3]) > 0.01


def test_watching_costs_little() -> None:
    torch.manual_seed(0)
    inputs, targets = torch.randn(2000, 64), torch.randint(0, 10, (2000,))
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    run = unstuck.fit(Setup.of(**usual(model=model, train=(inputs, targets), batch_size=32, epochs=10)), watched=True)
    assert run.record.cadence_seconds / run.record.seconds < 0.2  # of steps of half a millisecond


def test_a_loss_that_refuses_what_has_diverged_counts_as_no_number() -> None:
    inputs = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    targets = (inputs[:, :1] > 0.0).float()
    setup = Setup.of(
        model=lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1), nn.Sigmoid()),
        loss=nn.BCELoss(),  # raises where it is given NaN
        optimizer=lambda parameters: torch.optim.SGD(parameters, 1e38),
        train=(inputs, targets),
        validation=(inputs, targets),
        batch_size=16,
        epochs=2,
    )
    run = fit(setup)
    assert math.isnan(run.record.losses[-1]) and run.record.stopped == "non-finite"
    assert math.isnan(evaluate(setup, run.model, setup.train).loss)
    runs = fit_together([(setup, seed) for seed in range(4)])
    assert runs is None or all(math.isnan(each.record.losses[-1]) for each in runs)
    assert unstuck.diagnose(setup, budget=10.0).error == ""


def test_a_loss_that_refuses_sound_outputs_is_an_error() -> None:
    inputs = torch.randn(64, 4)
    setup = Setup.of(
        model=lambda: nn.Linear(4, 1), loss=nn.BCELoss(), optimizer=lambda parameters: torch.optim.SGD(parameters, 0.1),
        train=(inputs, (inputs[:, :1] > 0.0).float()), epochs=1,
    )  # fmt: skip
    with pytest.raises(ExaminationError, match="between 0 and 1"):
        fit(setup)
