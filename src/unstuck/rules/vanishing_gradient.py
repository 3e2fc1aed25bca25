"""The gradient dies out on its way back to the first layers.

## What it checks
Whether the first layer's gradient, against the size of its weights, is orders of magnitude below that of the layer
with the largest, in a network of at least three affine layers.

## Why it hurts
On its way back the gradient is multiplied by each layer's weights and by the slope of each activation. Sigmoids have a
slope of at most a quarter, and small weights shrink it further, so that it falls by a constant factor a layer. The
last layers then learn from features that the first ones never change: the network is as deep as it was built and
learns like a shallow one on noise.

## How it is measured
One backward pass on sixty-four training samples before training: the norm of the gradient over the norm of the weights,
layer by layer in the order in which they run. The suspicion is tested by sound initial weights, by ReLU in place of the
hidden activations with He's initialisation, by normalisation layers, and by the last two together. It is confirmed if
one of them ends lower on the training data and on held-out data by at least a tenth of the span.

## Remedy
The first in that order that does nearly as well as the best. Skip connections serve as well where the architecture may
change.

## When to leave it
Optimizers that scale steps by past gradients, as Adam does, make up for a good part of the decay; if the loss is low,
nothing is wrong. A first layer of exactly zero gradient is not vanishing but cut off: see the diagnoses of the program
and of dead units.

## References
S. Hochreiter, "Untersuchungen zu dynamischen neuronalen Netzen", 1991.
Y. Bengio, P. Simard, P. Frasconi, "Learning long-term dependencies with gradient descent is difficult", 1994.
X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.
K. He et al., "Delving deep into rectifiers", 2015.
S. Ioffe, C. Szegedy, "Batch normalization", 2015.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from torch import nn

from unstuck import patients
from unstuck.edits.activations import replace_activations
from unstuck.edits.alternatives import applicable
from unstuck.edits.deepening import deepened
from unstuck.edits.initialisation import initialise_soundly
from unstuck.edits.normalisation import insert_normalisation
from unstuck.errors import RemedyError
from unstuck.measure.gradient_profile import GradientProfile
from unstuck.quantity import Quantity, Threshold, roughly
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup
from unstuck.setup.randomness import isolated

FAINT: Final = Threshold(
    0.01,
    "share of the largest layer's",
    "a hundredth: with three affine layers or more, no healthy set-up of bench/bases and bench/healthy is below 0.03",
)

FEWEST_LAYERS: Final = 3
FURTHER_LAYERS: Final = 4


def judge(profile: GradientProfile) -> Verdict:
    """Suspect a first layer that hardly any gradient reaches."""
    name = "relative gradient at the first layer / at the layer with the largest"
    reaching = Quantity(name, profile.reaching, FAINT.unit)
    factor = Quantity("factor on the relative gradient from a layer to the one before it", profile.factor)
    evidence = (Evidence(reaching, FAINT), Evidence(factor))
    count = len(profile.layers)
    if count < FEWEST_LAYERS:
        sentence = f"With {count} affine layers there is no way back along which a gradient could die out."
        return Verdict(Outcome.ABSENT, sentence, evidence)
    if math.isnan(profile.reaching):
        return Verdict(Outcome.ABSENT, "No layer has a gradient, so none dies out on the way.", evidence)
    if profile.reaching == 0.0:
        return Verdict(Outcome.ABSENT, "The first layer's gradient is exactly zero: cut off, not faint.", evidence)
    if profile.reaching < FAINT.value:
        sentence = (
            f"The first layer's relative gradient is {profile.reaching:.1e} of the largest one's: "
            f"a factor of {roughly(profile.factor)} a layer."
        )
        return Verdict(Outcome.PRESENT, sentence, evidence, profile.layers[:1])
    sentence = f"The first layer's relative gradient is {roughly(profile.reaching)} of the largest one's."
    return Verdict(Outcome.ABSENT, sentence, evidence)


def stack_sigmoids(setup: Setup) -> Setup:
    """Put four further layers behind each hidden one, and sigmoids between all of them.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If skip connections would carry the gradient past them, or there is no hidden layer.
    """
    with isolated(setup.seed):
        model, _ = setup.build()
    if any(isinstance(module, nn.MultiheadAttention) for module in model.modules()):
        raise RemedyError("attention blocks have skip connections, which carry the gradient past what is inserted")
    return replace_activations(deepened(setup, FURTHER_LAYERS, nn.Sigmoid), nn.Sigmoid)


def carry_gradient(setup: Setup) -> tuple[Setup, ...]:
    """Sound weights; ReLU with He's weights; normalisation; the last two together.

    Args:
        setup: What is trained.

    Returns:
        One set-up a change.

    Raises:
        RemedyError: If none of them applies.
    """
    return applicable(
        setup,
        initialise_soundly,
        _rectify,
        insert_normalisation,
        lambda setup: insert_normalisation(_rectify(setup)),
    )


def _rectify(setup: Setup) -> Setup:
    return replace_activations(setup, nn.ReLU, initialise=True)


def _stack(activation: Callable[[], nn.Module]) -> nn.Module:
    return patients.perceptron(4, 24, 24, 24, 24, 24, 24, 3, activation=activation)


RULE = Rule(
    code="OPT006",
    judge=judge,
    fault=stack_sigmoids,
    remedy=Remedy(
        "Use ReLU with He's initialisation, sound initial weights or normalisation layers.",
        carry_gradient,
        Applies.OPT_IN,
    ),
    cases=(
        Case("six hidden layers of sigmoids", lambda: patients.shells(lambda: _stack(nn.Sigmoid)), Outcome.PRESENT),
        Case("two hidden layers of ReLU", patients.shells, Outcome.ABSENT),
        Case(
            "one hidden layer of sigmoids, which is no way for a gradient to die out on",
            lambda: patients.shells(lambda: patients.perceptron(4, 48, 3, activation=nn.Sigmoid), epochs=30),
            Outcome.ABSENT,
        ),
        Case(
            "three hidden layers of tanh, whose gradient falls a little on the way back",
            lambda: patients.shells(lambda: patients.perceptron(4, 32, 32, 32, 3, activation=nn.Tanh)),
            Outcome.ABSENT,
        ),
    ),
    is_cure_all=True,
    # Units that are flat pass no gradient on (Glorot & Bengio 2010).
    explained_by=("DAT001", "OPT009", "OPT010", "OPT011"),
)
