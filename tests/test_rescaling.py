"""Nothing is decided by an absolute constant: healthy set-ups in other units come to the same verdicts.

Each pair is the same training in exact arithmetic. Factors are powers of two and of ten; what is rounded differs in the
last place, so a verdict may sit anywhere but on a limit.

- Inputs × c with a fixed layer 1/c in front: the first trained layer sees what it saw.
- Loss × c with SGD's rate / c: each step is what it was (weight decay and clipping left out).
- Loss × c under Adam: its steps do not depend on the gradient's scale while it is large against `eps`.
- Targets and outputs × c with a fixed layer behind, under mean squared error: the loss is × c², as above.
- Weights in front of a ReLU × c, those behind it / c, rates to match, c² and 1/c²: the same function at each step.

Two rules are about units themselves, and may name them where the network takes raw numbers of any size: DAT001 reads
the scale of the inputs and DAT002 that of the targets. What must not change is that neither is confirmed.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam

import unstuck
from unstuck.patients import classification, perceptron, regression, shells
from unstuck.report import Outcome
from unstuck.rules import load
from unstuck.setup import Setup

RATE, MOMENTUM = 0.1, 0.8
FACTORS = (0.01, 0.1, 10.0, 100.0)
ABOUT_SCALE = frozenset({"DAT001", "DAT002"})


class Times(nn.Module):
    """A fixed factor."""

    factor: Tensor

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.register_buffer("factor", torch.tensor(factor))

    def forward(self, values: Tensor) -> Tensor:
        return values * self.factor


def gentle(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    return SGD(parameters, RATE, momentum=MOMENTUM)


HEALTHY: dict[str, Callable[..., Setup]] = {
    "classes under Adam": lambda **more: classification(epochs=30, **more),
    "classes under SGD": lambda **more: classification(**{"optimizer": gentle, "epochs": 50, **more}),
    "shells": lambda **more: shells(**more),
    "values under Adam": lambda **more: regression(epochs=30, **more),
    "values under SGD": lambda **more: regression(**{"optimizer": gentle, "epochs": 50, **more}),
}
SIZES = {"classes": (4, 24, 3), "shells": (4, 32, 32, 3), "values": (3, 24, 1)}


def network(name: str) -> nn.Sequential:
    return perceptron(*SIZES[name.split()[0]])


def uses_sgd(name: str) -> bool:
    return name.endswith("SGD")


def in_front(name: str, factor: float) -> Setup:
    """Inputs × factor."""
    setup = HEALTHY[name](model=lambda: nn.Sequential(Times(1.0 / factor), *network(name)))

    def scale(batch: Any) -> Any:
        return (batch[0] * factor, *batch[1:])

    return replace(
        setup,
        train=setup.train.mapped(scale),
        validation=setup.validation and setup.validation.mapped(scale),
        test=setup.test and setup.test.mapped(scale),
    )


class Multiple(nn.Module):
    """A loss times a factor."""

    def __init__(self, loss: nn.Module, factor: float) -> None:
        super().__init__()
        self.loss, self.factor = loss, factor

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        value: Tensor = self.factor * self.loss(outputs, targets)
        return value


def of_loss(name: str, factor: float) -> Setup:
    """Loss × factor; of SGD the rate / factor."""
    setup = HEALTHY[name]()
    assert isinstance(setup.loss, nn.Module)
    optimizer = setup.optimizer.with_rate_times(1.0 / factor) if uses_sgd(name) else setup.optimizer
    return replace(setup, loss=Multiple(setup.loss, factor), optimizer=optimizer)


def behind(name: str, factor: float) -> Setup:
    """Targets × factor; of SGD the rate / factor²."""
    setup = HEALTHY[name](
        model=lambda: nn.Sequential(*network(name), Times(factor)), targets=lambda values: factor * values
    )
    rate = factor**-2 if uses_sgd(name) else 1.0
    return replace(setup, optimizer=setup.optimizer.with_rate_times(rate))


def between(name: str, factor: float) -> Setup:
    """Weights before the hidden ReLUs × factor, those behind the last / factor; rates to match."""
    last = len(SIZES[name.split()[0]]) - 2

    def model() -> nn.Module:
        net = network(name)
        layers = [layer for layer in net if isinstance(layer, nn.Linear)]
        with torch.no_grad():
            for number, layer in enumerate(layers[:-1]):
                layer.weight *= factor if number == 0 else 1.0
                layer.bias *= factor
            layers[-1].weight /= factor
        return net

    def optimizer(parameters: Any) -> torch.optim.Optimizer:
        kind, usual = (SGD, {"lr": RATE, "momentum": MOMENTUM}) if uses_sgd(name) else (Adam, {"lr": 0.01})
        power = 2 if uses_sgd(name) else 1  # Adam's steps are of the size of the rate, SGD's of the gradient's as well
        groups = []
        for number, parameter in enumerate(parameters):
            is_last, is_bias = number // 2 == last, number % 2 == 1
            grown = number // 2 == 0 or (is_bias and not is_last)
            by = factor if grown else 1.0 / factor if is_last and not is_bias else 1.0
            groups.append({"params": [parameter], "lr": usual["lr"] * by**power})
        made: torch.optim.Optimizer = kind(groups, **usual)
        return made

    return HEALTHY[name](model=model, optimizer=optimizer)


CHANGES: dict[str, tuple[Callable[[str, float], Setup], tuple[str, ...]]] = {
    "inputs": (in_front, tuple(HEALTHY)),
    "loss": (of_loss, tuple(HEALTHY)),
    "targets": (behind, ("values under Adam", "values under SGD")),
    "weights": (between, tuple(HEALTHY)),
}
PAIRS = [(change, name) for change, (_, names) in CHANGES.items() for name in names]


@pytest.mark.parametrize(("change", "name"), PAIRS)
@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_the_training_is_the_same(change: str, name: str, factor: float) -> None:
    """Else the verdicts of two different trainings would be compared; powers of two round alike."""
    given, changed = (unstuck.fit(setup, steps=40) for setup in (HEALTHY[name](), CHANGES[change][0](name, factor)))
    by = {"loss": factor, "targets": factor**2}.get(change, 1.0)
    assert changed.losses == pytest.approx([by * loss for loss in given.losses], rel=2e-3)


def outcomes(setup: Setup) -> tuple[dict[str, Outcome], unstuck.Report]:
    report = unstuck.diagnose(setup, budget=60.0)
    assert not report.error
    found = {finding.rule.code: Outcome.PRESENT for finding in report.findings}
    found |= {finding.rule.code: Outcome.ABSENT for finding in report.ruled_out}
    return {rule.code: found.get(rule.code, Outcome.UNDECIDED) for rule in load()}, report


@pytest.mark.slow
@pytest.mark.parametrize(("change", "name"), PAIRS)
@pytest.mark.parametrize("factor", FACTORS)
def test_no_verdict_changes(change: str, name: str, factor: float) -> None:
    (given, _), (changed, report) = outcomes(HEALTHY[name]()), outcomes(CHANGES[change][0](name, factor))
    assert Outcome.PRESENT not in given.values()
    moved = {code: changed[code] for code in given if changed[code] is not given[code] and code not in ABOUT_SCALE}
    assert not moved, f"{moved}\n{report}"
    assert not report.findings, str(report)
