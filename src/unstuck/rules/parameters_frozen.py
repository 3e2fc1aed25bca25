"""Layers are frozen that have nothing learnt in them, or that the task needs to change.

## What it checks
Whether parameters have `requires_grad=False` although their values are drawn at random with each seed, or whether most
of the model is frozen.

## Why it hurts
Freezing keeps what pretraining has learnt. Where the loop that freezes runs over more than the pretrained part, or
before the weights are loaded, it keeps random numbers instead: the rest of the network must make do with features
that nobody has chosen.

## How it is measured
The model is built from two seeds. What is frozen and differs between the two was drawn, not learnt. Of a live model
this cannot be told; there, and where all frozen values are the same, the rule asks whether most of the model is
frozen. The trial unfreezes everything.

## Remedy
Freeze only what holds pretrained weights. Where those must move for the task, unfreeze them as well, at a tenth of the
rate.

## When to leave it
A frozen pretrained backbone under a small head is sound practice on little data, and random features under a linear
layer are a method of their own. Where unfreezing does not go lower on the training data and on held-out data, nothing
is reported.

## References
J. Yosinski et al., "How transferable are features in deep neural networks?", 2014.
A. Rahimi, B. Recht, "Random features for large-scale kernel machines", 2007 (random features on purpose).
J. Howard, S. Ruder, "Universal language model fine-tuning for text classification", 2018 (lower rates further back).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import torch
from torch import nn

from unstuck import patients
from unstuck.errors import RemedyError
from unstuck.loop.layers import own_parameters, parametrised_layers
from unstuck.measure.frozen_weights import FrozenWeights
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Edit, Setup
from unstuck.setup.randomness import isolated

DRAWN: Final = Threshold(
    0.0, "share of the parameters", "none in a program that freezes what was learnt, by definition (Yosinski 2014)"
)
MOST: Final = Threshold(0.5, "share of the parameters", "majority: more of the model stands still than learns")


def judge(frozen: FrozenWeights) -> Verdict:
    """Suspect frozen values that were drawn, and models of which most is frozen."""
    whole = max(1, frozen.total)
    share, drawn = frozen.frozen / whole, frozen.drawn / whole
    at_random = Evidence(Quantity("share of the parameters frozen at values drawn with the seed", drawn), DRAWN)
    at_all = Evidence(Quantity("share of the parameters that is frozen", share), MOST)
    if frozen.frozen == 0:
        return Verdict(Outcome.ABSENT, "None of the parameters is frozen.", (at_all,))
    if drawn > DRAWN.value:
        sentence = f"{drawn:.0%} of the parameters are frozen at values that are drawn anew with each seed."
        return Verdict(Outcome.PRESENT, sentence, (at_random, at_all), frozen.layers)
    known = "the same whatever the seed" if frozen.draws_weights else "as the live model holds them"
    sentence = f"{share:.0%} of the parameters are frozen, at values {known}."
    outcome = Outcome.PRESENT if share >= MOST.value else Outcome.ABSENT
    return Verdict(outcome, sentence, (at_all, at_random), frozen.layers)


def freeze_all_but_last(setup: Setup) -> Setup:
    """Freeze every layer but the last.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If there is but one layer, or the weights are a live model's, which may be pretrained.
    """
    if not setup.model.draws_weights:
        raise RemedyError("the weights of a live model may have been learnt; the fault needs weights drawn at random")
    with isolated(setup.seed):
        layers = parametrised_layers(setup.model.make()[0])
    if len(layers) < 2:
        raise RemedyError("there is one layer only, and something must be left to train")
    return setup.with_edit(Edit("requires_grad", "True", "False but for the last layer", _freeze))


def _freeze(model: nn.Module) -> nn.Module:
    layers = list(parametrised_layers(model).values())
    kept = {id(each) for each in own_parameters(layers[-1])}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in kept)
    return model


def unfreeze(setup: Setup) -> Setup:
    """Let every parameter train, and be in the optimizer."""
    changed = setup.with_edit(Edit("requires_grad", "False in places", "True", _unfreeze))
    return replace(changed, optimizer=replace(setup.optimizer, adopts=True))


def _unfreeze(model: nn.Module) -> nn.Module:
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.requires_grad_(True)
    return model


def _frozen_body() -> nn.Module:
    """A body of three random layers, frozen before anything was loaded into it."""
    body = patients.perceptron(4, 8, 8, 8, last=nn.ReLU())
    return nn.Sequential(body.requires_grad_(False), nn.Linear(8, 3))


def _fixed_features() -> nn.Module:
    """A first layer that passes each input on with both signs, and a small network that learns on top."""
    first = nn.Linear(4, 8, bias=False)
    first.weight.data = torch.cat([torch.eye(4), -torch.eye(4)])
    return nn.Sequential(first.requires_grad_(False), nn.ReLU(), nn.Linear(8, 24), nn.ReLU(), nn.Linear(24, 3))


RULE = Rule(
    code="SET009",
    judge=judge,
    fault=freeze_all_but_last,
    remedy=Remedy("Unfreeze the layers that hold nothing learnt, or that must change.", unfreeze, Applies.OPT_IN),
    cases=(
        Case("a body of random layers, frozen", lambda: patients.shells(_frozen_body), Outcome.PRESENT),
        Case("nothing is frozen", patients.shells, Outcome.ABSENT),
        Case(
            "near miss: a first layer that is fixed on purpose, at values that do not depend on the seed",
            lambda: patients.shells(_fixed_features),
            Outcome.ABSENT,
        ),
        Case(
            "near miss: wide random features, frozen, under a layer that learns enough from them",
            lambda: patients.shells(
                lambda: nn.Sequential(nn.Linear(4, 256).requires_grad_(False), nn.ReLU(), nn.Linear(256, 3)),
                epochs=40,
            ),
            Outcome.ABSENT,
        ),
    ),
)
