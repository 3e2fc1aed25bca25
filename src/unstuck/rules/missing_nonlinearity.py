"""Layers follow each other with nothing non-linear between them, so they compute no more than one layer.

## What it checks
Whether a linear or convolutional layer feeds another one through nothing but linear operations, although the layer
between is wide enough that the two together are just one layer: a deep network without activations is affine in
its input.

## Why it hurts
A product of matrices is a matrix. Depth and width then buy nothing but a harder problem for the optimizer, and no
boundary between classes but a plane, and no curve but a straight line, can be learnt.

## How it is measured
The graph that autograd records in one forward pass is walked back from every layer; functions and modules count
alike, and dropout, pooling by means and batch-norm count as linear. The width between two such layers is held
against the narrower of their ends: below it the pair is a factorisation of low rank, which limits the network on
purpose. The trial puts ReLUs (or tanhs) between, with the same seeds.

## Remedy
Put an activation behind every hidden layer: `nn.ReLU()` unless there is a reason for another one.

## When to leave it
A linear bottleneck, a linear autoencoder, a factorised projection, and a linear model of linear data are sound. They
are not reported, the first three because they are narrow in the middle, the last since the trial gains nothing.

## References
Leshno et al., "Multilayer feedforward networks with a nonpolynomial activation function can approximate any
function", Neural Networks 6, 1993 (and no others can).
Baldi & Hornik, "Neural networks and principal component analysis", Neural Networks 2, 1989 (what linear ones learn).
Saxe, McClelland & Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear networks", 2014.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from torch import nn

from unstuck.edits.activations import insert_nonlinearities, remove_nonlinearities
from unstuck.errors import RemedyError
from unstuck.measure.comparison import LARGE
from unstuck.measure.layout import Layout
from unstuck.measure.preparation import Prepared
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.references import BoostingReference, LinearReference
from unstuck.measure.task import Task
from unstuck.patients import classification, perceptron, regression
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup

FULL_RANK: Final = Threshold(
    1.0,
    "width between / narrower end",
    "rank of a product: below 1 the pair has fewer degrees of freedom than one layer (Baldi & Hornik 1989)",
)


def judge(layout: Layout) -> Verdict:
    """Suspect where two affine layers with nothing between are no factorisation of low rank."""
    widths = {pair: _relative_width(layout, pair) for pair in layout.affine_pairs}
    if not widths:
        nothing = Evidence(Quantity("affine layers that feed another one with nothing between", 0.0, "layers"))
        return Verdict(Outcome.ABSENT, "Something non-linear lies between any two layers.", (nothing,))
    idle = {pair: width for pair, width in widths.items() if not width < FULL_RANK.value}
    widest = max(widths.values())
    evidence = (
        Evidence(Quantity("largest width between two such layers / narrower end", widest), FULL_RANK),
        Evidence(Quantity("affine layers that feed another one with nothing between", float(len(widths)), "layers")),
    )
    if not idle:
        sentence = "Layers with nothing between are narrow in the middle: a factorisation of low rank."
        return Verdict(Outcome.ABSENT, sentence, evidence)
    pairs = ", ".join(f"{first} and {second}" for first, second in idle)
    return Verdict(
        Outcome.PRESENT, f"Nothing non-linear lies between {pairs}.", evidence, tuple(first for first, _ in idle)
    )


def _relative_width(layout: Layout, pair: tuple[str, str]) -> float:
    """Width between a pair over that of its narrower end; 1 where it cannot be told."""
    first = next((layer for layer in layout.layers if layer.name == pair[0]), None)
    second = next((layer for layer in layout.layers if layer.name == pair[1]), None)
    if first is None or second is None:
        return 1.0
    between = _width(first.kind, first.output_shape)
    ends = min(_width(first.kind, first.input_shape), _width(second.kind, second.output_shape))
    return between / ends if ends > 0 else 1.0


def _width(kind: str, shape: tuple[int, ...]) -> int:
    """Channels of a convolution, features of a linear layer."""
    if not shape:
        return 0
    return shape[1] if kind.startswith("Conv") and len(shape) > 1 else shape[-1]


def forget_activations(setup: Setup) -> Setup:
    """Leave out all hidden activations."""
    if _is_linear(setup):
        raise RemedyError("a linear learner does as well as boosted trees on these data: no activation is missed")
    changed = remove_nonlinearities(setup)
    if judge(Layout.measure(Prepared.measure(changed))).outcome is not Outcome.PRESENT:
        raise RemedyError("something else that is non-linear, such as pooling by maxima, lies between its layers")
    return changed


def _is_linear(setup: Setup) -> bool:
    """Whether a linear learner is about as good on held-out samples as one that is not."""
    prepared = Prepared.measure(setup)
    try:
        task = Task.measure(setup)
        straight = LinearReference.measure(prepared, task).reference.held_out_error
        bent = BoostingReference.measure(prepared, task).reference.held_out_error
    except NotMeasurable:
        return False
    return straight is not None and bent is not None and straight - bent < LARGE.value


def put_activations_between(setup: Setup) -> tuple[Setup, ...]:
    """Put ReLUs, or tanhs, between."""
    kinds: tuple[Callable[[], nn.Module], ...] = (nn.ReLU, nn.Tanh)
    return tuple(insert_nonlinearities(setup, kind) for kind in kinds)


RULE = Rule(
    code="SET013",
    judge=judge,
    fault=forget_activations,
    remedy=Remedy("Put an activation behind every hidden layer.", put_activations_between, Applies.SAFE),
    cases=(
        Case(
            "three linear layers in a row, on classes that lie one inside the other",
            lambda: classification(lambda: perceptron(4, 24, 24, 3, activation=nn.Identity)),
            Outcome.PRESENT,
        ),
        Case("the same layers with ReLUs", lambda: classification(lambda: perceptron(4, 24, 24, 3)), Outcome.ABSENT),
        Case(
            "near miss: two linear layers on targets that are linear in the inputs",
            lambda: regression(lambda: perceptron(3, 8, 1, activation=nn.Identity), linear=True),
            Outcome.ABSENT,
        ),
        Case(
            "near miss: a linear bottleneck behind a hidden layer",
            lambda: classification(
                lambda: nn.Sequential(nn.Linear(4, 24), nn.ReLU(), nn.Linear(24, 2), nn.Linear(2, 3))
            ),
            Outcome.ABSENT,
        ),
    ),
)
