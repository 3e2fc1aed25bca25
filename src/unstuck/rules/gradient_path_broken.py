"""No gradient reaches layers on which the loss depends.

## What it checks
Whether the loss changes when the weights of a layer are shaken although the backward pass never gives that layer a
gradient: somewhere between the two the graph is left.

## Why it hurts
`detach`, `.data`, `.item()`, `no_grad`, a round trip through NumPy, `argmax` and rounding all compute the right value
and end the graph. What lies before is never trained, without an error as long as anything behind is; the network
learns its last layers on top of random features.

## How it is measured
Hooks tell which parameters get no gradient, or one of exactly zero, in some real training steps. Each such layer's
weights are then changed by half their size, and the first training loss is taken again from the same seed: if it
changes, there is a path that the backward pass does not find. If it does not, the layer is merely unused. Layers that
are in the graph at a slope of zero, as before dead units, count only where the forward pass rounds or takes signs. The
trial keeps the graph through `detach`, `.data`, `no_grad`, signs and rounding, until the backward pass begins.

## Remedy
Compute with tensors all the way from the parameters to the loss. Where a step function is needed, let the gradient
pass straight through: `x + (torch.round(x) - x).detach()`; in place of argmax use a softmax.

## When to leave it
A teacher, a target network or a frozen encoder is kept out of the graph on purpose. Where a gradient there does not go
lower, nothing is reported.

## References
PyTorch, "Autograd mechanics", section on locally disabling gradient computation.
Y. Bengio, N. Léonard, A. Courville, "Estimating or propagating gradients through stochastic neurons", 2013
(straight-through estimator).
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn

from unstuck import patients
from unstuck.errors import RemedyError
from unstuck.loop.correcting import SLOPE_ZERO
from unstuck.loop.layers import parametrised_layers
from unstuck.measure.gradient_path import GradientPath
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Edit, Setup
from unstuck.setup.randomness import isolated

CUT: Final = Threshold(
    0.0,
    "share of the trainable numbers",
    "none where the graph is whole: a loss that depends on a weight has a gradient there, by the chain rule",
)

MENDED: Final = frozenset({"detach", ".data", "no_grad", *SLOPE_ZERO})


def judge(path: GradientPath) -> Verdict:
    """Suspect layers without a gradient that the loss depends on."""
    share = path.cut_off / max(1, path.trainable)
    evidence = (
        Evidence(Quantity("share of the trainable numbers that matter and get no gradient", share), CUT),
        Evidence(Quantity("change of the loss when such a layer is shaken / the loss", path.change)),
    )
    if share > CUT.value:
        sentence = (
            f"{share:.0%} of the trainable numbers get no gradient, though the loss changes by {path.change:.2g} of "
            "itself when they are changed."
        )
        if path.ways:
            sentence = f"{sentence[:-1]}; the graph is left by {', '.join(path.ways[:3])}."
        return Verdict(Outcome.PRESENT, sentence, evidence, (*path.layers, *path.lines))
    sentence = "Every layer on which the loss depends gets a gradient."
    if path.unused:
        sentence = f"{sentence[:-1]}; on {len(path.unused)} without one it does not depend."
    return Verdict(Outcome.ABSENT, sentence, evidence, path.unused)


def detach_before_last(setup: Setup) -> Setup:
    """Detach what goes into the last layer.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If there is but one layer.
    """
    with isolated(setup.seed):
        layers = list(parametrised_layers(setup.model.make()[0]))
    if len(layers) < 2:
        raise RemedyError("there is one layer only, so nothing lies before it")
    return setup.with_edit(Edit(f"input of {layers[-1]}", "as it is", "detached", _detaching))


def _detaching(model: nn.Module) -> nn.Module:
    list(parametrised_layers(model).values())[-1].register_forward_pre_hook(_detach)
    return model


def _detach(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(each.detach() if isinstance(each, Tensor) else each for each in inputs)


def keep_graph(setup: Setup, path: GradientPath) -> Setup:
    """Keep the graph through whatever leaves it and can be kept in it.

    Args:
        setup: What is trained.
        path: Tells how the graph is left.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the graph is left in a way that only another source can mend.
    """
    if not MENDED.intersection(path.ways):
        ways, lines = ", ".join(path.ways), ", ".join(path.lines)
        if not ways:
            ways = "a way that could not be seen"
        if lines:
            raise RemedyError(
                f"the graph is left by {ways} at {lines}, which only the source can mend: compute with tensors there"
            )
        raise RemedyError(f"the graph is left by {ways}, which only the source can mend: compute with tensors there")
    return setup.corrected(keep_graph=True)


class _Cut(nn.Module):
    """A perceptron whose body ends the graph in one way or another."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.body, self.head = patients.perceptron(4, 6, 6, last=nn.Tanh()), nn.Linear(6, 3)
        self.way = way

    def forward(self, inputs: Tensor) -> Tensor:
        if self.way == "no_grad":
            with torch.no_grad():
                hidden = self.body(inputs)
        elif self.way == "round":
            hidden = torch.round(4.0 * self.body(inputs)) / 4.0
        else:
            hidden = self.body(inputs)
        outputs: Tensor = self.head(hidden)
        return outputs


class _Spare(nn.Module):
    """A network with a head that no loss depends on, and a norm of its outputs that is only reported."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.spare = patients.perceptron(4, 32, 32, 3), nn.Linear(4, 2)
        self.seen = 0.0

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.body(inputs)
        self.seen = outputs.detach().norm().item() + float(self.spare(inputs).detach().sum())
        return outputs


def _dead() -> nn.Module:
    """A first layer whose biases keep half of its units at zero for good."""
    model = patients.perceptron(4, 48, 48, 3)
    assert isinstance(model[0].bias, Tensor)
    model[0].bias.data[:24] = -20.0
    return model


RULE = Rule(
    code="SET008",
    judge=judge,
    fault=detach_before_last,
    remedy=Remedy(
        "Keep the graph whole from the parameters to the loss, at the lines named.", keep_graph, Applies.OPT_IN
    ),
    cases=(
        Case("a body that runs under no_grad", lambda: patients.shells(lambda: _Cut("no_grad")), Outcome.PRESENT),
        Case("a body in the graph", lambda: patients.shells(lambda: _Cut("")), Outcome.ABSENT),
        Case("a rounded hidden layer", lambda: patients.shells(lambda: _Cut("round")), Outcome.PRESENT),
        Case(
            "near miss: a spare head that the loss does not depend on, and numbers taken out for reports",
            lambda: patients.shells(_Spare),
            Outcome.ABSENT,
        ),
        Case(
            "near miss: dead units, whose gradient is zero with the graph whole",
            lambda: patients.shells(_dead),
            Outcome.ABSENT,
        ),
    ),
)
