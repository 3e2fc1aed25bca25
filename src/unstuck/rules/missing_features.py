"""The inputs hold the answer in a form that none of the models can use.

## What it checks
Whether every model on the inputs as they are ends at about the same loss, while a plain linear one that is given
features derived from them by a fixed formula (products and squares, sines and cosines, logarithms, ratios) goes clearly
lower on samples that it has not seen.

## Why it hurts
A network can approximate a product, a ratio or a fast oscillation, but it has to learn it from the samples, and where
they are few or the function is rough it does not: it learns smooth functions first. The loss comes to rest at a floor
that looks like noise and is not. The right feature turns the task into an easy one.

## How it is measured
Only where nothing that was compared goes lower than the run as given. A linear or logistic regression with a penalty is
fitted on the inputs together with each kind of derived features, and scored on held-out samples. The suspicion is
raised if its error is below that of everything known by a fifth of the way from the best constant and by three standard
errors, and below that of the run as given on the training samples too. It is tested by a fixed layer in front of
the user's own model that gives it those features besides, where the model begins with a linear layer.

## Remedy
Give the model the features that the better learner used.

## When to leave it
Where a larger network or more samples bring the same, the features only save them. A feature that is found among many
by chance does not help on new samples: the trial tells.

## References
N. Rahaman et al., "On the spectral bias of neural networks", 2019.
M. Tancik et al., "Fourier features let networks learn high frequency functions in low dimensional domains", 2020.
P. Domingos, "A few useful things to know about machine learning", 2012 (feature engineering is the key).
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import nn

from unstuck import patients
from unstuck.edits.derived_features import with_derived_features
from unstuck.measure.comparison import LARGE, Comparison, shortfall
from unstuck.measure.feature_search import FeatureSearch
from unstuck.measure.protocol import Unmeasured
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Aim, Case, Remedy, Rule
from unstuck.setup import Setup

LOWER: Final = Threshold(
    0.2,
    "share of the span from the best constant to the learner with derived features",
    "twice what counts as a large shortfall, since the best of several kinds of features is looked at",
)

SURE: Final = Threshold(
    3.0, "standard errors", "three: the best of four kinds passes by chance once in two hundred times (Bonferroni)"
)


def judge(found: FeatureSearch | Unmeasured, comparison: Comparison) -> Verdict:
    """Suspect where derived features bring more than every learner on the inputs as they are."""
    if isinstance(found, Unmeasured):
        largest = Quantity("largest shortfall of the run as given", comparison.shortfall)
        sentence = f"No features were derived: {found.reason.removesuffix('.')}."
        return Verdict(Outcome.ABSENT, sentence, (Evidence(largest, LARGE),))
    given, known = found.given_training_error, found.known_error
    gains = shortfall(known, found.held_out_error, 1.0), shortfall(given, found.training_error, 1.0)
    gain = min(gains)
    name = "what the best on the inputs as they are falls short of the learner with derived features"
    sure = (known - found.held_out_error) / found.standard_error if found.standard_error > 0.0 else math.inf
    lower = Evidence(Quantity(name, gain, "1"), LOWER)
    beyond = Evidence(Quantity("the same, over its standard error", sure, SURE.unit), SURE)
    if gain >= LOWER.value and sure >= SURE.value:
        sentence = (
            f"With {found.formula}, a linear learner leaves {found.held_out_error:.0%} of the best constant's error on "
            f"held-out samples; without, nothing leaves less than {known:.0%} ({found.known_name})."
        )
        return Verdict(Outcome.PRESENT, sentence, (lower, beyond))
    sentence = f"Derived features bring nothing clear: at best {found.held_out_error:.0%} against {known:.0%} without."
    return Verdict(Outcome.ABSENT, sentence, (lower, beyond))


def give_features(setup: Setup, found: FeatureSearch) -> Setup:
    """Put the derived features beside the given ones, by a fixed layer in the model."""
    return with_derived_features(setup, found.formula)


def _waves(noise: float) -> Setup:
    """The sum of a fast wave in each of four features, and noise that makes this share of its variance."""
    draws = torch.Generator().manual_seed(5)
    values = torch.randn(900, 4, generator=draws)
    wanted = torch.sin(6.0 * math.pi * values + torch.arange(4)).sum(1, keepdim=True) / math.sqrt(2.0)
    wanted = math.sqrt(1.0 - noise) * wanted + math.sqrt(noise) * torch.randn(wanted.shape, generator=draws)
    inputs, targets = values.split(300), wanted.split(300)
    return Setup.of(
        model=lambda: patients.perceptron(4, 24, 1),
        loss=nn.MSELoss(),
        optimizer=patients.adam(3e-3),
        train=(inputs[0], targets[0]),
        validation=(inputs[1], targets[1]),
        test=(inputs[2], targets[2]),
        epochs=15,
    )


RULE = Rule(
    code="CAP004",
    judge=judge,
    fault=None,
    remedy=Remedy("Give the model the features that the better learner used.", give_features, Applies.OPT_IN),
    cases=(
        Case("the sum of a fast wave in each of four features", lambda: _waves(0.0), Outcome.PRESENT),
        Case("classes that the inputs tell", patients.shells, Outcome.ABSENT),
        Case("a smooth dependence that the network learns", patients.regression, Outcome.ABSENT),
        Case(
            "noise in the targets, which makes a floor that no feature lowers",
            lambda: patients.regression(noise=1.5),
            Outcome.ABSENT,
        ),
        Case("the same waves, next to nothing of them beside the noise", lambda: _waves(0.98), Outcome.ABSENT),
    ),
    aim=Aim.HELD_OUT,
    explained_by=(*(f"SET{number:03d}" for number in range(1, 21)), "DAT006"),
)
