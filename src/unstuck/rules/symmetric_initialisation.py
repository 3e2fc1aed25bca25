"""The units of a layer start out equal and stay so.

## What it checks
Whether hidden units carry the same weights as another unit of their layer before training, and still do after a few
steps: all weights zero, all the same constant, or rows that were copied.

## Why it hurts
Units with equal weights, in and out, give equal outputs and receive equal gradients. No step of any optimizer then
tells them apart, so that a layer of a hundred units computes one feature, a hundred times over. If everything is zero,
not even that one learns: a unit that is not listened to gets no gradient.

## How it is measured
The weights of every hidden layer are compared row by row before training and again after five steps. Two units count
as the same if they differ by less than a thousandth of the way that they have moved. The suspicion is tested by
drawing the weights at random, with everything else as given; it is confirmed if the loss then ends lower on the
training data and on held-out data by at least a tenth of the span.

## Remedy
Draw the weights at random, as torch's layers do by themselves; leave biases at zero and norm weights at one. Take out
the line that fills the weights with a constant.

## When to leave it
A last layer of zeros is sound and often wise: its rows get different gradients at once. So is a zero last layer of a
residual branch. Units that start equal but part in the first steps, because what listens to them differs, need no
cure either.

## References
I. Goodfellow, Y. Bengio, A. Courville, "Deep learning", 2016, section 8.4 (breaking symmetry between units).
D. Rumelhart, G. Hinton, R. Williams, "Learning internal representations by error propagation", 1986.
X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import nn

from unstuck import patients
from unstuck.edits.initialisation import draw_initialisation, make_units_equal
from unstuck.measure.units import Units
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup

COPIES: Final = Threshold(
    0.5,
    "share of the units of a layer",
    "half: two equal units of two; weights drawn at random hold none (Goodfellow et al. 2016, section 8.4)",
)


def judge(units: Units) -> Verdict:
    """Suspect layers of which half the units are copies that do not part."""
    worst = Quantity("largest share of a layer's units that copy another, after a few steps", units.worst, COPIES.unit)
    evidence = (Evidence(worst, COPIES),)
    shares = map(min, units.copies_at_start, units.copies_after)
    where = tuple(name for name, share in zip(units.layers, shares, strict=False) if share >= COPIES.value)
    if where:
        sentence = f"In {len(where)} of {len(units.layers)} hidden layers the units start equal and stay equal."
        return Verdict(Outcome.PRESENT, sentence, evidence, where)
    if max(units.copies_at_start, default=0.0) >= COPIES.value:
        sentence = f"Units that start equal have parted after {units.steps} steps."
        return Verdict(Outcome.ABSENT, sentence, evidence)
    if not units.layers:
        return Verdict(Outcome.ABSENT, "There is no hidden layer whose units could be equal.", evidence)
    few = f"At most {units.worst:.0%} of the units of a hidden layer are copies."
    none = "No unit of a hidden layer is the copy of another."
    return Verdict(Outcome.ABSENT, few if units.worst > 0.0 else none, evidence)


def fill_weights(setup: Setup) -> Setup:
    """Give all units of a layer the same weights."""
    return make_units_equal(setup)


def _filled(value: float, *, last_only: bool = False) -> nn.Module:
    """A perceptron whose weights are constant, or only those of its last layer."""
    net = patients.perceptron(4, 32, 32, 3)
    layers = [net[-1]] if last_only else [layer for layer in net if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        for layer in layers:
            for parameter in layer.parameters():
                parameter.fill_(value)
    return net


RULE = Rule(
    code="OPT011",
    judge=judge,
    fault=fill_weights,
    remedy=Remedy("Draw the initial weights at random.", draw_initialisation, Applies.SAFE),
    cases=(
        Case("all weights and biases set to a tenth", lambda: patients.shells(lambda: _filled(0.1)), Outcome.PRESENT),
        Case("weights drawn at random", patients.shells, Outcome.ABSENT),
        Case(
            "only the last layer is zero, which the first step undoes",
            lambda: patients.shells(lambda: _filled(0.0, last_only=True)),
            Outcome.ABSENT,
        ),
    ),
)
