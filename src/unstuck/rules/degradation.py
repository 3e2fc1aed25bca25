"""The network is so deep that it trains worse than a shallower version of itself.

## What it checks
Where the training loss is large: whether the same network with every second of its equal layers left out, or more of
them, trained as given, ends at a lower training loss.

## Why it hurts
A deeper network could do all that the shallower one does, if its further layers gave back what they are given. Plain
layers do not find that by gradient descent: each one mixes and cuts what comes in, the gradients of neighbouring inputs
lose what they have in common, and the loss surface becomes rough. The loss is then higher on the training data already,
so that it is no overfitting.

## How it is measured
Hidden layers that give the shape that they are given are counted in the order in which they run; every second one is
left out together with its norm and activation, and the rest is trained from the same seed for as many steps. Where that
is not low enough, the depth is halved again, up to three times, which all takes less than one run. Networks that cannot
be halved as often, or have skip connections, are left alone. The suspicion is tested by that shallower version, by skip
connections past those layers, each adding a share of its output of one over the root of their number, by normalisation,
and by both; it is confirmed if one of them ends lower on the training data and on held-out data by at least a tenth of
the span.

## Remedy
Fewer layers; or skip connections, with normalisation where they do not suffice.

## When to leave it
Where weights of a wrong scale, vanishing or exploding gradients keep the deep network from training, mend those first:
with them it may catch up. A lower rate helps a deep network for the same reason, and less. If the loss is low, depth
does no harm.

## References
K. He et al., "Deep residual learning for image recognition", 2016 (the degradation problem).
D. Balduzzi et al., "The shattered gradients problem: if resnets are the answer, then what is the question?", 2017.
H. Zhang, Y. Dauphin, T. Ma, "Fixup initialization: residual learning without normalization", 2019.
"""

from __future__ import annotations

import functools
from typing import Final

from torch import nn

from unstuck import patients
from unstuck.edits.alternatives import applicable
from unstuck.edits.deepening import deepened
from unstuck.edits.initialisation import initialise_for_activations
from unstuck.edits.normalisation import insert_normalisation
from unstuck.edits.skipping import halve_depth, insert_skips
from unstuck.measure.comparison import LARGE
from unstuck.measure.protocol import Unmeasured
from unstuck.measure.shallower_copy import ShallowerCopy
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup

AHEAD: Final = Threshold(
    LARGE.value, "share of the span down from the best constant", "what matters: the threshold of a large training loss"
)

FURTHER_LAYERS: Final = 40


def judge(shallower: ShallowerCopy | Unmeasured) -> Verdict:
    """Suspect a network that a shallower version of it is ahead of."""
    if isinstance(shallower, Unmeasured):
        return Verdict(Outcome.ABSENT, f"No shallower version was trained: {shallower.reason.rstrip('.')}.", ())
    ahead = Evidence(Quantity("what a shallower version is ahead by", shallower.gain, AHEAD.unit), AHEAD)
    left = f"With one in {2**shallower.halvings} of its equal layers"
    told = f"{left} it ends at a training loss of {shallower.shallower:.3g}, not {shallower.given:.3g}"
    outcome = Outcome.PRESENT if shallower.gain >= AHEAD.value else Outcome.ABSENT
    return Verdict(outcome, f"{told}.", (ahead,))


def pile_up(setup: Setup) -> Setup:
    """Put forty further layers of ReLUs behind each hidden one, all drawn by He's rule.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If there is no hidden layer, or the weights cannot be drawn.
    """
    return initialise_for_activations(deepened(setup, FURTHER_LAYERS, nn.ReLU))


def let_pass(setup: Setup, shallower: ShallowerCopy) -> tuple[Setup, ...]:
    """Fewer layers; skip connections; normalisation; both.

    Args:
        setup: What is trained.
        shallower: Tells how few.

    Returns:
        One set-up a change.

    Raises:
        RemedyError: If none of them applies.
    """
    return applicable(
        setup,
        lambda setup: functools.reduce(lambda deep, _: halve_depth(deep), range(shallower.halvings), setup),
        insert_skips,
        insert_normalisation,
        lambda setup: insert_skips(insert_normalisation(setup)),
    )


RULE = Rule(
    code="OPT018",
    judge=judge,
    fault=pile_up,
    remedy=Remedy(
        "Leave layers out, or lead skip connections past them, with normalisation or without.",
        let_pass,
        Applies.OPT_IN,
    ),
    cases=(
        Case(
            "forty layers of ReLUs drawn by He's rule", lambda: pile_up(patients.regression(epochs=10)), Outcome.PRESENT
        ),
        Case("two hidden layers", patients.shells, Outcome.ABSENT),
        Case(
            "five hidden layers that train as well as two",
            lambda: patients.shells(lambda: patients.perceptron(4, 32, 32, 32, 32, 32, 3)),
            Outcome.ABSENT,
        ),
    ),
    is_cure_all=True,
    explained_by=("OPT010",),
)
