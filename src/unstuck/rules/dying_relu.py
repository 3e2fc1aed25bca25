"""Units behind a ReLU are zero on every sample and can no longer learn.

## What it checks
Whether, in some layer, half of the units behind a ReLU are exactly zero on every training sample that was run: from the
start on, where the same network drawn by He's rule has them alive, or after training, where they began alive.

## Why it hurts
Below zero a ReLU gives nothing and passes no gradient. A unit that is there on every sample is out of the network, and
nothing brings it back: no weight in front of it is ever moved again. Large negative biases or weights of a bad draw
start units there, and one step that is too long throws them there. Where a whole layer is dead, the outputs no longer
depend on the inputs at all.

## How it is measured
Up to five hundred training samples run through the network before training, through a twin from the same seed drawn by
He's rule, and through the trained network; the place of a unit in an image does not matter: it is dead if it is zero
everywhere. A unit that is zero on one batch only is not counted. The suspicion is tested by a lower rate where units
died on the way, by He's draw with zero biases, by leaky ReLUs, and by both together; it is confirmed if one of them
ends lower on the training data and on held-out data by at least a tenth of the span.

## Remedy
The first in that order that does nearly as well as the best.

## When to leave it
Sparse representations are what ReLUs are for: where a good part of the units is dead and the loss is low, the network
was merely wider than it needed to be. Where too high a rate, unscaled inputs or weights of a wrong scale killed them,
mend that.

## References
V. Nair, G. Hinton, "Rectified linear units improve restricted Boltzmann machines", 2010.
A. Maas, A. Hannun, A. Ng, "Rectifier nonlinearities improve neural network acoustic models", 2013 (leaky ReLU).
K. He et al., "Delving deep into rectifiers", 2015.
L. Lu et al., "Dying ReLU and initialization: theory and numerical examples", 2020.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import torch
from torch import nn

from unstuck import patients
from unstuck.edits.activations import replace_activations
from unstuck.edits.biases import shift_biases
from unstuck.edits.initialisation import initialise_for_activations
from unstuck.errors import RemedyError
from unstuck.measure.depth_profile import ActivationState, DepthProfile, TrainedDepth
from unstuck.measure.protocol import Unmeasured
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup

DEAD: Final = Threshold(
    0.5,
    "share of a layer's units",
    "half; healthy networks of bench/bases begin with a tenth or less dead, and He's draw with as few (Lu et al. 2020)",
)

FACTORS: Final = (10, 100)
"""By which the rate is divided."""

RECTIFIERS: Final = frozenset({"Relu"})


def judge(start: DepthProfile, end: TrainedDepth | Unmeasured) -> Verdict:
    """Suspect a layer of which half the units are dead, from the start or since."""
    rectified = [state for state in start.activations if state.function.startswith("relu")]
    born = [(_excess(state), state.name) for state in rectified]
    died: list[tuple[float, str]] = []
    if not isinstance(end, Unmeasured):
        before = [state.dead for state in start.activations]
        died = [
            (state.dead - dead, state.name) for state, dead in zip(end.activations, before, strict=False) if dead < 1.0
        ]
    most_born, most_died = max(born, default=(0.0, "")), max(died, default=(0.0, ""))
    at_start = "largest share of a layer's units dead before training, beyond those of a sound draw"
    evidence = (
        Evidence(Quantity(at_start, float(most_born[0]), DEAD.unit), DEAD),
        Evidence(
            Quantity("largest share of a layer's units that died in training", float(most_died[0]), DEAD.unit), DEAD
        ),
    )
    if most_born[0] >= DEAD.value:
        dead_share = f"{_dead(rectified, most_born[1]):.0%}"
        sentence = f"Of the units of {most_born[1]}, {dead_share} are zero on every sample from the start."
        return Verdict(Outcome.PRESENT, sentence, evidence, (most_born[1],))
    if most_died[0] >= DEAD.value:
        sentence = f"In training, {most_died[0]:.0%} of the units of {most_died[1]} became zero on every sample."
        return Verdict(Outcome.PRESENT, sentence, evidence, (most_died[1],))
    if not rectified:
        return Verdict(Outcome.ABSENT, "There are no ReLUs behind hidden layers.", evidence)
    if isinstance(end, Unmeasured):
        sentence = f"Units are alive at the start; whether they died could not be told: {end.reason.rstrip('.')}."
        return Verdict(Outcome.UNDECIDED, sentence, evidence)
    highest = max([state.dead for state in end.activations], default=0.0)
    sentence = "No unit of any layer is zero on every sample after training."
    if highest > 0.0:
        sentence = f"At most {highest:.0%} of a layer's units are zero on every sample after training."
    return Verdict(Outcome.ABSENT, sentence, evidence)


def _excess(state: ActivationState) -> float:
    """Share of dead units beyond that of a sound draw."""
    return state.dead - state.sound_dead if state.sound_dead == state.sound_dead else 0.0


def _dead(states: list[ActivationState], name: str) -> float:
    return next(state.dead for state in states if state.name == name)


def lower_biases(setup: Setup) -> Setup:
    """Move the biases in front of ReLUs down by ten times the spread of what they are added to."""
    return shift_biases(setup, RECTIFIERS, -10.0)


def revive(setup: Setup, profile: DepthProfile) -> tuple[Setup, ...]:
    """Lower rates where units began alive; He's draw; leaky ReLUs; both.

    Args:
        setup: What is trained.
        profile: Tells whether units were dead from the start.

    Returns:
        One set-up a change.

    Raises:
        RemedyError: If none of them applies.
    """
    found: list[Setup] = []
    if max([_excess(state) for state in profile.activations], default=0.0) < DEAD.value:
        found = [replace(setup, optimizer=setup.optimizer.with_rate_times(1.0 / factor)) for factor in FACTORS]
    changes: tuple[Callable[[Setup], Setup], ...] = (
        initialise_for_activations,
        lambda setup: replace_activations(setup, nn.LeakyReLU),
        lambda setup: replace_activations(setup, nn.LeakyReLU, initialise=True),
    )
    reason = ""
    for change in changes:
        try:
            found.append(change(setup))
        except RemedyError as error:
            reason = str(error)
    if not found:
        raise RemedyError(reason)
    return tuple(found)


def _biased(shift: float, share: float = 1.0, **options: Any) -> Setup:
    """Shells, learnt by a perceptron with the biases of a share of its hidden units moved."""

    def model() -> nn.Module:
        net = patients.perceptron(4, 32, 32, 3)
        with torch.no_grad():
            for layer in list(net)[:-1]:
                if isinstance(layer, nn.Linear):
                    layer.bias[: round(share * 32)] += shift
        return net

    return patients.shells(model, **options)


RULE = Rule(
    code="OPT008",
    judge=judge,
    fault=lower_biases,
    remedy=Remedy(
        "Draw weights by He's rule with zero biases, lower the rate, or use leaky ReLUs.", revive, Applies.OPT_IN
    ),
    cases=(
        Case("biases so low that every hidden unit is off", lambda: _biased(-20.0), Outcome.PRESENT),
        Case("units alive at the start and at the end", patients.shells, Outcome.ABSENT),
        Case(
            "sixty of a hundred units dead in a network that trains well without",
            lambda: _biased(-20.0, 0.6),
            Outcome.ABSENT,
        ),
    ),
    is_cure_all=True,
    explained_by=("DAT001", "OPT001", "OPT010", "OPT011", "OPT018"),
)
