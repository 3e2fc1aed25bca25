"""Sigmoid or tanh units are pushed so far that they no longer respond.

## What it checks
Whether, in some hidden layer, half of the units have a derivative near zero on most training samples: from the start
on, where the same network drawn by Xavier's rule has not, or after training, where they began responsive.

## Why it hurts
A sigmoid or tanh is flat at both ends. A unit that sits there gives nearly the same value whatever comes in, and what
goes back through it is multiplied by a derivative near zero: neither the unit nor what lies before it learns.

## How it is measured
Up to five hundred training samples run through the network before training, through a twin from the same seed drawn by
Xavier's rule, and through the trained network. A unit counts as saturated if its derivative is below a twentieth of its
largest on more than half of the samples. Gates of recurrent and attention layers, and the last activation, are left
out: they are meant to be open or shut. The suspicion is tested by Xavier's draw with zero biases, and by ReLU in the
place of the hidden activations with He's draw; it is confirmed if one of them ends lower on the training data and on
held-out data by at least a tenth of the span.

## Remedy
Bring the units back into their range: biases near zero, or ReLU, which is flat on one side only.

## When to leave it
Where unscaled inputs, weights of a wrong scale or too high a rate drive the units there, mend that. Trained networks
use saturated units as switches: if the loss is low, nothing is wrong.

## References
X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.
Y. LeCun et al., "Efficient backprop", 1998.
X. Glorot, A. Bordes, Y. Bengio, "Deep sparse rectifier neural networks", 2011.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import nn

from unstuck import patients
from unstuck.edits.activations import replace_activations
from unstuck.edits.alternatives import applicable
from unstuck.edits.biases import shift_biases
from unstuck.edits.initialisation import initialise_for_activations
from unstuck.measure.depth_profile import DepthProfile, TrainedDepth
from unstuck.measure.layer_reading import SLOPES
from unstuck.measure.protocol import Unmeasured
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup

SATURATED: Final = Threshold(
    0.5,
    "share of a layer's units",
    "half; in healthy networks of bench/bases none is before training, nor under Xavier's draw (Glorot & Bengio 2010)",
)

FAR: Final = 30.0
"""Standard deviations by which the fault moves biases: tanh is flat to the last digit there, also on small signals."""


def judge(start: DepthProfile, end: TrainedDepth | Unmeasured) -> Verdict:
    """Suspect a layer of which half the units are flat, from the start or since."""
    bounded = [state for state in start.activations if state.function in SLOPES]
    flat = [
        (state.saturated - state.sound_saturated, state.name)
        for state in bounded
        if state.sound_saturated == state.sound_saturated
    ]
    since: list[tuple[float, str]] = []
    if not isinstance(end, Unmeasured):
        pairs = zip(start.activations, end.activations, strict=False)
        since = [(after.saturated - before.saturated, after.name) for before, after in pairs]
    first, later = max(flat, default=(0.0, "")), max(since, default=(0.0, ""))
    at_start = "largest share of a layer's units saturated before training, beyond those of a sound draw"
    evidence = (
        Evidence(Quantity(at_start, float(first[0]), SATURATED.unit), SATURATED),
        Evidence(
            Quantity("largest share of a layer's units saturated in training", float(later[0]), SATURATED.unit),
            SATURATED,
        ),
    )
    if first[0] >= SATURATED.value:
        sentence = f"Of the units of {first[1]}, {first[0]:.0%} are flat on most samples from the start."
        return Verdict(Outcome.PRESENT, sentence, evidence, (first[1],))
    if later[0] >= SATURATED.value:
        sentence = f"In training, {later[0]:.0%} of the units of {later[1]} became flat on most samples."
        return Verdict(Outcome.PRESENT, sentence, evidence, (later[1],))
    if not bounded:
        return Verdict(Outcome.ABSENT, "There are no sigmoids or tanhs behind hidden layers.", evidence)
    if isinstance(end, Unmeasured):
        sentence = f"Units respond at the start; whether they still do could not be told: {end.reason.rstrip('.')}."
        return Verdict(Outcome.UNDECIDED, sentence, evidence)
    highest = max([state.saturated for state in end.activations], default=0.0)
    sentence = "No unit of any layer is flat on most samples after training."
    if highest > 0.0:
        sentence = f"At most {highest:.0%} of a layer's units are flat on most samples after training."
    return Verdict(Outcome.ABSENT, sentence, evidence)


def push_flat(setup: Setup) -> Setup:
    """Put tanh in the place of the hidden activations, and move every bias far to one side or the other."""
    bounded = replace_activations(setup, nn.Tanh, initialise=True)
    return shift_biases(bounded, frozenset({"Tanh"}), FAR, alternate=True)


def bring_back(setup: Setup) -> tuple[Setup, ...]:
    """Xavier's draw with zero biases; ReLU with He's.

    Args:
        setup: What is trained.

    Returns:
        One set-up a change.

    Raises:
        RemedyError: If neither applies.
    """
    return applicable(
        setup,
        initialise_for_activations,
        lambda setup: replace_activations(setup, nn.ReLU, initialise=True),
    )


def _biased(shift: float, every: int = 1) -> nn.Module:
    """A perceptron of tanhs whose hidden biases are moved both ways, those of every so many units."""
    net = patients.perceptron(4, 32, 32, 3, activation=nn.Tanh)
    with torch.no_grad():
        for layer in list(net)[:-1]:
            if isinstance(layer, nn.Linear):
                layer.bias[::every] += shift * (-1.0) ** torch.arange(len(layer.bias[::every]))
    return net


RULE = Rule(
    code="OPT009",
    judge=judge,
    fault=push_flat,
    remedy=Remedy(
        "Draw weights by Xavier's rule with zero biases, or use ReLU in place of the saturating activation.",
        bring_back,
        Applies.OPT_IN,
    ),
    cases=(
        Case("tanh units with biases of ±15", lambda: patients.shells(lambda: _biased(15.0)), Outcome.PRESENT),
        Case(
            "tanh units as torch draws them",
            lambda: patients.shells(lambda: patients.perceptron(4, 32, 32, 3, activation=nn.Tanh)),
            Outcome.ABSENT,
        ),
        Case(
            "a third of the units saturated, and the others enough",
            lambda: patients.shells(lambda: _biased(15.0, every=3)),
            Outcome.ABSENT,
        ),
        Case(
            "units that training drives to their ends, where they serve as switches",
            lambda: patients.shells(
                lambda: patients.perceptron(4, 32, 32, 3, activation=nn.Tanh), optimizer=patients.adam(0.03), epochs=40
            ),
            Outcome.ABSENT,
        ),
    ),
    is_cure_all=True,
    explained_by=("DAT001", "OPT001", "OPT010"),
)
