"""The initial weights are of a scale that lets the signal grow or die out from layer to layer.

## What it checks
Whether, before training, the signal at some hidden layer is far larger or far smaller than in the same network drawn
by He's or Xavier's rule, and whether the scale of the weights accounts for it.

## Why it hurts
Each layer multiplies the variance of what it is given by fan-in × the variance of its weights × what its activation
lets through. Where that product is not near one, activations and gradients grow or shrink by a constant factor a layer:
outputs start far from any sensible value, saturating activations are pushed flat, or the inputs can no longer be told
apart.

## How it is measured
Up to five hundred training samples run through the network as given and through a twin from the same seed whose affine
layers are drawn as fits each activation (He's variance 2 / fan-in before rectifiers, Xavier's 2 / (fan-in + fan-out)
before others), biases zero. Signal is the standard deviation of a layer's outputs over the samples, so that constant
biases do not count. Layers behind which a norm follows are left out: it undoes their scale. The product of the layers'
weight scales up to there, relative to the rule's, must account for at least half of the deviation (as a logarithm). The
suspicion is tested by drawing the weights by that rule; it is confirmed if the loss then ends lower on the training
data and on held-out data by at least a tenth of the span.

## Remedy
Draw weights by He's rule before ReLU and its kin, by Xavier's before tanh and sigmoid, biases zero. Scaling each layer
so that its output on real data has unit variance does the same for layers of any kind.

## When to leave it
Batch-norm or layer-norm behind each layer makes the scale moot. Pretrained weights are as they should be. A last layer
near zero is sound. If the loss is low, adaptive optimizers have mended the scale by themselves.

## References
X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.
K. He et al., "Delving deep into rectifiers", 2015.
D. Mishkin, J. Matas, "All you need is a good init", 2016.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import nn

from unstuck import patients
from unstuck.edits.initialisation import initialise_for_activations, initialise_soundly, scale_weights
from unstuck.measure.depth_profile import DepthProfile
from unstuck.quantity import Quantity, Threshold, roughly
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup

GROWN: Final = Threshold(
    10.0,
    "signal of the same network drawn by He's or Xavier's rule",
    "ten: the largest of the healthy set-ups of bench/bases is 1.7, where two inputs feed thirty units",
)

SHRUNK: Final = Threshold(
    1.0 / 30.0,
    "signal of the same network drawn by He's or Xavier's rule",
    "a thirtieth: torch's own default draw, a sixth of He's variance, comes to a fifteenth over three layers",
)

ACCOUNTED: Final = Threshold(
    0.5,
    "share of the logarithm of the deviation",
    "majority: the scale of the weights explains more of the deviation than all else together",
)

LARGER: Final = 100.0
"""By how much the fault multiplies the weights: a `randn` for a layer of three thousand inputs."""


def judge(profile: DepthProfile) -> Verdict:
    """Suspect a signal that weights of a wrong scale drive up or let die out."""
    worst, where, scale = 1.0, "", 1.0
    product = 0.0
    for layer in profile.hidden:
        if layer.normalised:
            product = 0.0
            continue
        product += math.log(layer.scale) if 0.0 < layer.scale < math.inf else math.nan
        ratio = layer.signal / layer.sound_signal if layer.sound_signal > 0.0 else math.nan
        if not (0.0 < ratio < math.inf):
            continue
        accounts = math.isfinite(product) and product / math.log(ratio) >= ACCOUNTED.value if ratio != 1.0 else False
        if accounts and abs(math.log(ratio)) > abs(math.log(worst)):
            worst, where, scale = ratio, layer.name, math.exp(min(product, 700.0))
    limit = GROWN if worst >= 1.0 else SHRUNK
    furthest = Quantity("signal at the hidden layer furthest off / that of a sound draw", worst, limit.unit)
    weights = Quantity("product of the weights' scales up to there / that of a sound draw", scale)
    evidence = (Evidence(furthest, limit), Evidence(weights))
    if not where:
        sentence = "The scale of the initial weights makes the signal of no hidden layer deviate."
        return Verdict(Outcome.ABSENT, sentence, evidence)
    told = f"At {where} the signal is {roughly(worst)} times that of a sound draw"
    if worst >= GROWN.value or worst <= SHRUNK.value:
        sentence = f"{told}, and the weights' scales multiply to {roughly(scale)} times."
        return Verdict(Outcome.PRESENT, sentence, evidence, (where,))
    return Verdict(Outcome.ABSENT, f"{told}: within what sound training bears.", evidence)


def enlarge_weights(setup: Setup) -> Setup:
    """Multiply the weights of all hidden affine layers by `LARGER`."""
    return scale_weights(setup, LARGER)


def draw_to_scale(setup: Setup) -> tuple[Setup, ...]:
    """He's or Xavier's draw; or orthogonal weights with each layer's variance brought to one on the data."""
    return initialise_for_activations(setup), initialise_soundly(setup)


def _scaled(*sizes: int, factor: float, activation: type[nn.Module] = nn.ReLU, norm: bool = False) -> nn.Module:
    """A perceptron whose weights are multiplied by a factor, with batch-norms behind its hidden layers or not."""
    net = patients.perceptron(*sizes, activation=activation)
    with torch.no_grad():
        for layer in net:
            if isinstance(layer, nn.Linear):
                layer.weight.mul_(factor)
    if not norm:
        return net
    layers: list[nn.Module] = []
    for layer in net:
        layers += [layer, nn.BatchNorm1d(layer.out_features)] if isinstance(layer, nn.Linear) else [layer]
    return nn.Sequential(*layers[:-1])


RULE = Rule(
    code="OPT010",
    judge=judge,
    fault=enlarge_weights,
    remedy=Remedy("Draw the initial weights by He's or Xavier's rule, biases zero.", draw_to_scale, Applies.SAFE),
    cases=(
        Case(
            "weights a hundred times too large",
            lambda: patients.shells(lambda: _scaled(4, 32, 32, 3, factor=LARGER)),
            Outcome.PRESENT,
        ),
        Case(
            "weights so small that plain SGD finds no slope to go down",
            lambda: patients.shells(lambda: _scaled(4, 32, 32, 3, factor=0.02), optimizer=patients.sgd(0.1, 0.9)),
            Outcome.PRESENT,
        ),
        Case("torch's own draw in a network of three layers", patients.shells, Outcome.ABSENT),
        Case(
            "weights a hundred times too large, but batch-norm behind every layer",
            lambda: patients.shells(lambda: _scaled(4, 32, 32, 3, factor=LARGER, norm=True)),
            Outcome.ABSENT,
        ),
        Case(
            "one hidden layer of small weights, which Adam makes up for",
            lambda: patients.shells(lambda: _scaled(4, 48, 3, factor=0.1), epochs=30),
            Outcome.ABSENT,
        ),
    ),
    explained_by=("DAT001", "OPT011"),
)
