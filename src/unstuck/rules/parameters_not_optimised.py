"""The optimizer does not hold the parameters that the model computes with.

## What it checks
Whether parameters get a gradient from every backward pass and yet stay as they are, because they are in no group of
the optimizer, or because the model keeps their layers in a plain list where `parameters()` does not find them.

## Why it hurts
An optimizer changes what it was given when it was built, and nothing else. Where the model is replaced, extended,
moved or loaded afterwards, or where layers are kept outside the module tree, it goes on stepping over other tensors:
no error, a gradient that is computed and thrown away, and layers that keep their random weights.

## How it is measured
Some real training steps are watched: for each layer, how many of its trainable numbers the optimizer holds, how many
get a gradient that is not zero, and how many move. What another optimizer moves, in a step of the user's own, does not
count, and neither does what no loss depends on. The trial gives the optimizer all trainable parameters, with the
layers from plain containers registered.

## Remedy
Build the optimizer from `model.parameters()` once the model is final, and keep layers in `nn.ModuleList` or
`nn.ModuleDict`.

## When to leave it
A backbone may be left out of the optimizer on purpose. Where the loss is as low as it gets, or lowest without it,
nothing is reported; `requires_grad_(False)` says it more clearly, and saves the gradient.

## References
PyTorch, "torch.optim", note on constructing optimizers after moving or changing the model.
PyTorch, "ModuleList" (modules in a plain list are not registered).
Humbatova et al., "Taxonomy of real faults in deep learning systems", ICSE 2020 (wrong optimiser parameters).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from unstuck import patients
from unstuck.edits.registration import with_parts_registered
from unstuck.errors import RemedyError
from unstuck.measure.first_steps import FirstSteps, LayerConduct
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup
from unstuck.setup.optimizer import OptimizerFactory

NEGLECTED: Final = Threshold(
    0.0,
    "share of the trainable numbers",
    "none where the optimizer was built from the model's parameters, by construction",
)


def judge(first: FirstSteps) -> Verdict:
    """Suspect parameters that have a gradient, are in no group, and do not move."""
    trainable = sum(layer.trainable for layer in first.layers)
    neglected = [layer for layer in first.layers if _neglected(layer) > 0]
    share = sum(map(_neglected, neglected)) / max(1, trainable)
    evidence = (
        Evidence(Quantity("share of the trainable numbers that have a gradient and no optimizer", share), NEGLECTED),
        Evidence(Quantity("tensors in the optimizer that are not the model's", float(first.foreign), "tensors")),
        Evidence(Quantity("layers outside the module tree", float(len(first.unregistered)), "layers")),
    )
    lines = (first.step_line,) if first.step_line else ()
    where = (*(layer.name for layer in neglected), *first.unregistered, *lines)
    if first.unregistered:
        count = len(first.unregistered)
        sentence = (
            f"{count} layer{'s' * (count > 1)} with a gradient {'are' if count > 1 else 'is'} kept in a plain "
            "container, where neither `parameters()` nor the optimizer finds them."
        )
        return Verdict(Outcome.PRESENT, sentence, evidence, where)
    if share > NEGLECTED.value:
        sentence = f"{share:.0%} of the trainable numbers get a gradient and are in no group of the optimizer."
        if first.foreign:
            sentence = (
                f"{share:.0%} of the trainable numbers get a gradient and are in no group of the optimizer, which "
                f"holds {first.foreign} tensors that are not the model's."
            )
        return Verdict(Outcome.PRESENT, sentence, evidence, where)
    sentence = "Every trainable parameter that gets a gradient is in the optimizer, or is moved by another one."
    return Verdict(Outcome.ABSENT, sentence, evidence)


def _neglected(layer: LayerConduct) -> int:
    return max(0, min(layer.trainable - max(layer.optimised, layer.moved), layer.alive))


def train_an_earlier_copy(setup: Setup) -> Setup:
    """Let the optimizer hold the tensors of an earlier copy of the model.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If its optimizer is a live one, which holds the live model's own.
    """
    if setup.optimizer.factory is None:
        raise RemedyError("the optimizer is a live one; the fault needs one that is built for each run")
    return replace(setup, optimizer=replace(setup.optimizer, factory=_OverCopies(setup.optimizer.factory)))


@final
@dataclass(frozen=True)
class _OverCopies:
    factory: OptimizerFactory

    def __call__(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return self.factory([nn.Parameter(each.detach().clone(), each.requires_grad) for each in parameters])


def hand_over_parameters(setup: Setup) -> Setup:
    """Register all layers, and give the optimizer every trainable parameter."""
    try:
        setup = with_parts_registered(setup)
    except RemedyError:
        pass  # all of them are
    return replace(setup, optimizer=replace(setup.optimizer, adopts=True))


class _Listed(nn.Module):
    """Keeps its hidden layers in a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = [nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)]
        self.head = nn.Linear(4, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        for layer in self.layers:
            inputs = torch.relu(layer(inputs))
        outputs: Tensor = self.head(inputs)
        return outputs


class _WithSpare(nn.Module):
    """Has a head that no loss asks for, and a teacher that it keeps to itself."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.spare = patients.perceptron(4, 24, 3), nn.Linear(24, 7)
        self.teacher = [nn.Linear(4, 3)]

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.body(inputs)
        return outputs


def _last_only(parameters: Iterable[nn.Parameter]) -> Optimizer:
    return torch.optim.Adam(list(parameters)[-1:], 0.01)


def _used_in_body(parameters: Iterable[nn.Parameter]) -> Optimizer:
    return torch.optim.Adam(list(parameters)[:4], 0.01)


RULE = Rule(
    code="SET007",
    judge=judge,
    fault=train_an_earlier_copy,
    remedy=Remedy(
        "Build the optimizer from all parameters of the final model, with every layer registered.",
        hand_over_parameters,
        Applies.SAFE,
    ),
    cases=(
        Case("an optimizer over the last bias only", lambda: patients.shells(optimizer=_last_only), Outcome.PRESENT),
        Case("an optimizer over all parameters", patients.shells, Outcome.ABSENT),
        Case("hidden layers in a plain list", lambda: patients.shells(_Listed), Outcome.PRESENT),
        Case(
            "near miss: a spare head outside the optimizer, and a teacher in a list, that no loss depends on",
            lambda: patients.shells(_WithSpare, optimizer=_used_in_body),
            Outcome.ABSENT,
        ),
    ),
)
