"""Runs trained together are those that are trained alone, to rounding."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from tests.setup.accepted import Stream, usual
from tests.setup.accepted import columns as single
from unstuck import Setup
from unstuck.loop import Run, fit
from unstuck.loop.batched import fit_together


def columns(count: int = 36) -> tuple[torch.Tensor, torch.Tensor]:
    """In double precision: adaptive optimizers blow rounding up where a gradient is nearly zero."""
    inputs, targets = single(count)
    return inputs.double(), targets


def dense() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 2)).double()


def convolutional() -> nn.Module:
    body = (nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 4, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
    return nn.Sequential(*body, nn.Linear(16, 2)).double()


def tied() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    model[2].weight = model[0].weight
    return model.double()


MODELS: dict[str, Callable[[], nn.Module]] = {"dense": dense, "convolutional": convolutional, "tied": tied}
OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.01),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
    "Adafactor": lambda p: torch.optim.Adafactor(p, lr=0.01),  # looks at whole rows: each run steps for itself
    "hooked": lambda p: clipping(torch.optim.SGD(p, lr=0.1)),
}


def clipping(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    def clip(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        for group in optimizer.param_groups:
            nn.utils.clip_grad_norm_(group["params"], 0.1)

    optimizer.register_step_pre_hook(clip)
    return optimizer


def pairs(setup: Setup, rates: tuple[float, ...] = (1.0, 0.1, 1.0, 0.3)) -> list[tuple[Setup, int]]:
    scaled = [replace(setup, optimizer=setup.optimizer.with_rate_times(rate)) for rate in rates]
    return [(each, seed) for seed, each in enumerate(scaled)]


def assert_as_alone(setups: list[tuple[Setup, int]], together: tuple[Run, ...] | None, **settings: Any) -> None:
    assert together is not None
    for (setup, seed), run in zip(setups, together, strict=True):
        alone = fit(setup, seed=seed, **settings)
        assert run.record.seed == seed and run.setup.optimizer is setup.optimizer
        assert run.losses == pytest.approx(alone.losses, rel=1e-7, nan_ok=True)
        assert run.validation_losses == pytest.approx(alone.validation_losses, rel=1e-7, nan_ok=True)
        assert (run.record.rates, run.record.epoch_ends) == (alone.record.rates, alone.record.epoch_ends)
        assert run.record.stopped == alone.record.stopped
        for one, other in zip(run.model.state_dict().values(), alone.model.state_dict().values(), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_as_alone(model: str, optimizer: str) -> None:
    arguments = usual(
        train=columns(), model=MODELS[model], optimizer=OPTIMIZERS[optimizer], validation=columns(20), epochs=3
    )
    setups = pairs(Setup.of(**arguments))
    assert_as_alone(setups, fit_together(setups))


def test_a_live_model_with_a_live_optimizer_and_its_state() -> None:
    model = dense()
    optimizer = torch.optim.Adam([{"params": model[0].parameters(), "lr": 0.02}, {"params": model[3].parameters()}])
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(columns()[0]), columns()[1]).backward()
        optimizer.step()
    setups = pairs(Setup.of(**usual(train=columns(), model=model, optimizer=optimizer)))
    assert_as_alone(setups, fit_together(setups))


SCHEDULES: dict[str, Callable[[Any], Any]] = {
    "epoch": lambda o: lr_scheduler.StepLR(o, 1, 0.5),
    "step": lambda o: lr_scheduler.OneCycleLR(o, 0.2, total_steps=20),
    "plateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0, threshold=0.2),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_and_early_stopping(name: str) -> None:
    arguments = usual(train=columns(), model=dense, optimizer=OPTIMIZERS["SGD"], validation=columns(20), epochs=4)
    setup = replace(Setup.of(**arguments, scheduler=SCHEDULES[name]), early_stopping=True)
    setups = pairs(setup)
    assert_as_alone(setups, fit_together(setups))


def test_one_that_diverges_leaves_the_others_alone() -> None:
    inputs = columns()[0]
    arguments = usual(
        model=dense,
        loss=nn.MSELoss(),
        train=(inputs, inputs[:, :2]),
        optimizer=lambda p: torch.optim.SGD(p, lr=0.05),
        epochs=6,
    )
    setups = pairs(Setup.of(**arguments), rates=(1.0, 1e18, 1.0))
    together = fit_together(setups)
    assert together is not None and [run.record.stopped for run in together] == ["finished", "non-finite", "finished"]
    assert_as_alone([setups[0], setups[2]], (together[0], together[2]))


def test_steps() -> None:
    setups = pairs(Setup.of(**usual(train=columns(), model=dense, optimizer=torch.optim.Adam)))
    assert_as_alone(setups, fit_together(setups, steps=7), steps=7)


class Branching(nn.Linear):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs = super().forward(inputs)
        return outputs if outputs.sum().item() > 0 else -outputs


REFUSED: dict[str, Callable[[], dict[str, Any]]] = {
    "dropout": lambda: {"model": lambda: nn.Sequential(nn.Dropout(0.1), nn.Linear(4, 2)).double()},
    "values decide": lambda: {"model": lambda: Branching(4, 2).double()},
    "own step": lambda: {"train_step": lambda m, o, b: torch.zeros(())},
    "stream": lambda: {"train": Stream()},
    "LBFGS": lambda: {"optimizer": torch.optim.LBFGS},
    "sparse gradients": lambda: {
        "train": (torch.arange(36 * 3).reshape(36, 3) % 7, torch.arange(36) % 2),
        "model": lambda: nn.EmbeddingBag(7, 2, sparse=True),
        "optimizer": torch.optim.SparseAdam,
    },
    "loss a vector": lambda: {"loss": nn.CrossEntropyLoss(reduction="none")},
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    arguments = usual(**{"train": columns(), "model": dense, "optimizer": torch.optim.Adam, **REFUSED[name]()})
    setup = Setup.of(**arguments)
    assert fit_together([(setup, 0), (setup, 1)]) is None


def test_refuses_setups_that_differ_in_more() -> None:
    setup = Setup.of(**usual(train=columns(), model=dense, optimizer=torch.optim.Adam))
    others = [
        replace(setup, epochs=5),
        replace(setup, loss=nn.MSELoss()),
        replace(setup, train=setup.train.with_batch_size(5)),
        replace(setup, optimizer=setup.optimizer.with_setting("weight_decay", 0.1)),
    ]
    assert all(fit_together([(setup, 0), (other, 0)]) is None for other in others)
    assert fit_together([]) is None


@pytest.mark.slow
def test_together_is_faster() -> None:
    inputs, targets = torch.randn(1000, 64), torch.randint(0, 10, (1000,))

    def model() -> nn.Module:
        return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))

    arguments = usual(model=model, optimizer=torch.optim.Adam, train=(inputs, targets), batch_size=32, epochs=5)
    setups = pairs(Setup.of(**arguments), rates=(1.0,) * 8)
    fit_together(setups, steps=2)
    start = time.process_time()
    fit_together(setups)
    middle = time.process_time()
    for setup, seed in setups:
        fit(setup, seed=seed)
    assert middle - start < 0.8 * (time.process_time() - middle)
