"""The gradient explodes: in single steps, or from the last layer back to the first.

## What it checks
Whether at some step the norm of the whole gradient was a hundred times the level of the run; or whether, before
training, the gradient grows a hundred times more on its way back to the first layer than in the same network drawn by
He's or Xavier's rule.

## Why it hurts
Products of many large slopes, in deep or recurrent networks, make cliffs in the loss surface: nearly flat ground, then
a wall. One step on the wall has a gradient orders of magnitude larger than any before and throws the weights far away
from where they had come to; Adam remembers it and hardly moves for a thousand steps afterwards.

## How it is measured
The norm of the gradient that each step of the run as given used, after any clipping of the program's own. The level of
the run is its median, or that of the first twenty steps where this is larger: gradients shrink as the loss falls. Over
depth, the root mean square of the gradient with respect to the outputs of the first and the last affine layer. The
suspicion is tested by clipping the norm at the 90th percentile of the run's own, by clipping it at the median of the
first steps, and by a sound draw of the weights; it is confirmed if one of them ends lower on the training data and on
held-out data by at least a tenth of the span.

## Remedy
Clip the norm of the gradient between `backward()` and `step()`:
`torch.nn.utils.clip_grad_norm_(model.parameters(), limit)`. Draw the weights on a lower scale where the gradient grows
over depth before training.

## When to leave it
Gradients are large in the first steps and on rare samples of a network that has nearly learnt its data; if the loss is
low, nothing is wrong. Where too high a rate, unscaled inputs or weights of a wrong scale drive the run up the walls,
mend that first.

## References
R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural networks", 2013.
Y. Bengio, P. Simard, P. Frasconi, "Learning long-term dependencies with gradient descent is difficult", 1994.
I. Goodfellow, Y. Bengio, A. Courville, "Deep learning", 2016, section 8.2.4 (cliffs).
"""

from __future__ import annotations

import math
from typing import Any, Final

import torch
from torch import nn

from unstuck import patients
from unstuck.edits.alternatives import applicable
from unstuck.edits.clipping import clip_gradients, raise_cliffs
from unstuck.edits.initialisation import initialise_for_activations
from unstuck.errors import RemedyError
from unstuck.measure.depth_profile import DepthProfile
from unstuck.measure.gradient_spikes import GradientSpikes
from unstuck.measure.protocol import Unmeasured
from unstuck.quantity import Quantity, Threshold, roughly
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup
from unstuck.setup.randomness import isolated

SPIKE: Final = Threshold(
    100.0,
    "level of the run",
    "two orders of magnitude; none of 53 healthy set-ups of bench/healthy and bench/bases comes to it",
)

GROWTH: Final = Threshold(
    100.0,
    "growth in the same network drawn by He's or Xavier's rule",
    "two orders of magnitude; the largest of the healthy set-ups of bench/bases is 1",
)

WALL: Final = 1000.0
"""Slope of the walls that the fault puts into the loss surface."""


def judge(profile: DepthProfile | Unmeasured, spikes: GradientSpikes | Unmeasured) -> Verdict:
    """Suspect a step whose gradient is out of all proportion, or one that grows on its way back."""
    growth = 1.0 if isinstance(profile, Unmeasured) else _growth(profile)
    grown = Evidence(Quantity("growth of the gradient from last to first layer / that of a sound draw", growth), GROWTH)
    if growth >= GROWTH.value:
        sentence = (
            f"Before training, the gradient grows {roughly(growth)} times as much over depth as from a sound draw."
        )
        return Verdict(Outcome.PRESENT, sentence, (grown,))
    if isinstance(spikes, Unmeasured):
        sentence = f"Whether the gradient spikes could not be told: {spikes.reason.rstrip('.')}."
        return Verdict(Outcome.UNDECIDED, sentence, (grown,))
    name = "largest norm of the gradient / level of the run"
    evidence = (Evidence(Quantity(name, spikes.spike, SPIKE.unit), SPIKE), grown)
    if spikes.spike >= SPIKE.value:
        sentence = f"At one step the gradient was {roughly(spikes.spike)} times as large as usual in this run."
        return Verdict(Outcome.PRESENT, sentence, evidence)
    return Verdict(
        Outcome.ABSENT, f"No step's gradient was above {roughly(spikes.spike)} times the usual one.", evidence
    )


def _growth(profile: DepthProfile) -> float:
    """Gradient at the first layer over that at the last, relative to the sound twin's; 1 where it cannot be told."""
    if len(profile.layers) < 2 or any(layer.normalised for layer in profile.layers):
        return 1.0
    first, last = profile.layers[0], profile.layers[-1]
    bottom = last.gradient * first.sound_gradient
    growth = first.gradient * last.sound_gradient / bottom if bottom > 0.0 else math.nan
    return growth if math.isfinite(growth) else 1.0


def wall_in(setup: Setup) -> Setup:
    """Put walls of slope `WALL` into the loss surface that few samples meet at the start.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the optimizer bounds its steps itself, or there is no hidden layer.
    """
    with isolated(setup.seed):
        _, optimizer = setup.build()
    if not isinstance(optimizer, torch.optim.SGD):
        raise RemedyError(f"{type(optimizer).__name__} scales its steps by past gradients: none is thrown far by one")
    return raise_cliffs(setup, WALL)


def clip(setup: Setup, spikes: GradientSpikes) -> tuple[Setup, ...]:
    """Clip at the 90th percentile of the run's norms, at the median of its first; draw weights to scale.

    Args:
        setup: What is trained.
        spikes: Gives the norms.

    Returns:
        One set-up a change.

    Raises:
        RemedyError: If none of them applies.
    """
    return applicable(
        setup,
        lambda setup: clip_gradients(setup, spikes.usual),
        lambda setup: clip_gradients(setup, spikes.early),
        initialise_for_activations,
    )


def _unlucky(**options: Any) -> Setup:
    """Shells whose loss surface has walls in it."""
    return wall_in(patients.shells(optimizer=patients.sgd(0.1, 0.9), **options))


def _normalised() -> nn.Module:
    """Batch-norm, with which single samples have steep gradients at the end."""
    return nn.Sequential(
        nn.Linear(4, 32),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.Linear(32, 32),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.Linear(32, 3),
    )


RULE = Rule(
    code="OPT007",
    judge=judge,
    fault=wall_in,
    remedy=Remedy("Clip the norm of the gradient, or draw the weights on a lower scale.", clip, Applies.SAFE),
    cases=(
        Case("walls in the loss surface that few samples meet", _unlucky, Outcome.PRESENT),
        Case(
            "SGD with momentum on even ground",
            lambda: patients.shells(optimizer=patients.sgd(0.1, 0.9)),
            Outcome.ABSENT,
        ),
        Case(
            "a network that has nearly learnt its data, where one hard sample makes the gradient jump",
            lambda: patients.shells(_normalised, epochs=30),
            Outcome.ABSENT,
        ),
    ),
    explained_by=("DAT001", "DAT002", "OPT010", "OPT018"),
)
