"""The training comes to rest at a saddle point.

## What it checks
Whether the run ends where the gradient has all but vanished, the loss is still high, and the surface bends down in
some direction: a saddle, which only looks like a floor.

## Why it hurts
At a saddle the gradient is zero, so that gradient descent stands still as it does at a minimum, although the loss
could go on falling. The component of the weights along the descending direction grows by a factor of 1 + rate × |λ| a
step; with little to begin with, a weak bend and no noise, that takes longer than the run.

## How it is measured
At the end of the run as given, where the training loss is large. The gradient on up to a thousand training samples is
held against that of the same model at a sound start. Both ends of the Hessian's spectrum are found by Lanczos' method,
on exact products (double backward, dropout off, normalisation by each batch's statistics), each with its error bound.
The loss is then followed along the eigenvector of the smallest eigenvalue λ and compared with the prediction ½ |λ| s²,
and the run is trained on from beyond, next to itself: one that falls by half as much without the step is leaving the
saddle, and is not accused. The suspicion is tested by moving the start off the saddle in that way, by momentum, by
noise in the gradients and by a smaller batch; it is confirmed if one of them ends lower on the training data and on
held-out data by at least a tenth of the span.

## Remedy
The first in that order that does nearly as well as the best.

## When to leave it
Nearly all points that a training passes have some directions of negative curvature; those that lead down by less than
a hundredth of what there is to gain do not matter. Where the start is so small that it lies at the saddle of the
origin, sound initial weights are the better cure.

## References
Y. Dauphin et al., "Identifying and attacking the saddle point problem in high-dimensional non-convex optimization",
2014.
C. Jin et al., "How to escape saddle points efficiently", 2017.
P. Baldi, K. Hornik, "Neural networks and principal component analysis: learning from examples without local minima",
1989.
B. Ghorbani, S. Krishnan, Y. Xiao, "An investigation into neural net optimization via Hessian eigenvalue density",
2019.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import torch
from torch import nn

from unstuck import patients
from unstuck.edits.noise import add_gradient_noise
from unstuck.languages import marked
from unstuck.measure.comparison import LARGE, MOST_OF_IT, Comparison
from unstuck.measure.curvature import Kind
from unstuck.measure.curvature.at_end import EndPoint
from unstuck.measure.curvature.escape import escaping_start
from unstuck.measure.curvature.resting import start_at_rest
from unstuck.measure.curvature.saddles import go_to_saddle
from unstuck.measure.curvature.verdict import MATTERS, SMALL
from unstuck.measure.protocol import Unmeasured
from unstuck.quantity import Quantity
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup
from unstuck.setup.data import StackedData
from unstuck.setup.randomness import isolated

MOMENTUM: Final = 0.9
SHARE_OF_BATCH: Final = 8


NAMES: Final = {
    Kind.MINIMUM: marked("a minimum"),
    Kind.FLAT: "a plateau without curvature",
    Kind.NOT_CRITICAL: "no critical point",
    Kind.UNDECIDED: "a point of a kind that cannot be told",
}


def judge(comparison: Comparison, end: EndPoint | Unmeasured) -> Verdict:
    """Suspect a vanished gradient with negative curvature that leads down, where the loss is large."""
    short = Evidence(Quantity("largest shortfall, as a share of the span", comparison.shortfall), LARGE)
    if not comparison.training_is_large:
        sentence = f"The training loss is not large ({max(0.0, comparison.shortfall):.0%} of the span is left)."
        return Verdict(Outcome.ABSENT, sentence, (short,))
    if isinstance(end, Unmeasured):
        return Verdict(Outcome.UNDECIDED, f"The curvature could not be measured: {end.reason}.", (short,))
    point = end.point
    steepness = Evidence(Quantity("gradient at the end / at a sound start", point.steepness), SMALL)
    smallest = Evidence(
        Quantity(
            "smallest eigenvalue of the Hessian at the end",
            point.smallest,
            "loss per squared weight",
            point.smallest - point.smallest_error,
            point.smallest + point.smallest_error,
        )
    )
    share = point.escape_fall / point.span if point.span > 0.0 else math.nan
    fall = Evidence(Quantity("fall of the loss along its direction / what could be gained", share), MATTERS)
    evidence = (steepness, smallest, fall)
    if end.kind is Kind.UNDECIDED and not point.steepness > SMALL.value:
        return Verdict(Outcome.UNDECIDED, "It cannot be told what kind of point the run ended at.", evidence)
    if end.kind is not Kind.SADDLE:
        sentence = (
            f"The run ended at {NAMES[end.kind]}: the gradient is {point.steepness:.1%} of that at a sound start, the "
            f"smallest eigenvalue {point.smallest:.2g} ± {point.smallest_error:.1g}."
        )
        return Verdict(Outcome.ABSENT, sentence, evidence)
    gone = end.continuation
    if gone is not None and point.loss - gone.stayed >= MOST_OF_IT.value * max(0.0, point.loss - gone.escaped) > 0.0:
        sentence = (
            f"The run ended near a saddle, but is leaving it: {gone.steps} steps on it is at {gone.stayed:.3g}, and "
            f"with a step along the descending direction first at {gone.escaped:.3g}."
        )
        return Verdict(Outcome.ABSENT, sentence, evidence)
    bend = Evidence(Quantity("measured bend of the loss along that direction / its eigenvalue", end.agreement))
    sentence = (
        f"The run ended at a saddle: the gradient is {point.steepness:.1%} of that at a sound start, the surface bends "
        f"down (smallest eigenvalue {point.smallest:.2g} ± {point.smallest_error:.1g}), and a step that way lowers the "
        f"loss from {point.loss:.3g} to {point.loss - point.escape_fall:.3g}."
    )
    if gone is not None:
        sentence += f" {gone.steps} steps on it is at {gone.escaped:.3g}, and without the step at {gone.stayed:.3g}."
    return Verdict(Outcome.PRESENT, sentence, (*evidence, bend))


def start_at_saddle(setup: Setup) -> Setup:
    """Start every run at a saddle, and train by plain gradient descent on all data, without noise to leave it by."""
    return start_at_rest(setup, Kind.SADDLE, go_to_saddle)


def leave_saddle(setup: Setup, end: EndPoint) -> tuple[Setup, ...]:
    """Move the start off the saddle; momentum; noise in the gradients; smaller batches.

    Args:
        setup: What is trained.
        end: Tells how large a usual gradient is.

    Returns:
        One set-up a change.
    """
    found = [escaping_start(setup)]
    with isolated(setup.seed):
        _, optimizer = setup.build()
    if isinstance(optimizer, torch.optim.SGD) and optimizer.param_groups[0]["momentum"] == 0.0:
        found.append(replace(setup, optimizer=setup.optimizer.with_setting("momentum", MOMENTUM)))
    found.append(add_gradient_noise(setup, end.point.gradient_reference))
    if isinstance(setup.train, StackedData) and setup.train.batch_size >= 2 * SHARE_OF_BATCH:
        found.append(replace(setup, train=setup.train.with_batch_size(setup.train.batch_size // SHARE_OF_BATCH)))
    return tuple(found)


def _smooth() -> nn.Module:
    return patients.perceptron(3, 24, 1, activation=nn.Tanh)


RULE = Rule(
    code="OPT003",
    judge=judge,
    fault=start_at_saddle,
    remedy=Remedy(
        "Step off the saddle along its descending direction, or use momentum, noise or smaller batches.",
        leave_saddle,
        Applies.OPT_IN,
    ),
    cases=(
        Case(
            "weights that begin at a saddle, gradient descent on all data at once",
            lambda: start_at_saddle(patients.regression(_smooth)),
            Outcome.PRESENT,
        ),
        Case("the same layers at a sound start", lambda: patients.regression(_smooth), Outcome.ABSENT),
        Case(
            "a model too small for its task, at a minimum high up",
            lambda: patients.shells(lambda: patients.perceptron(4, 2, 3)),
            Outcome.ABSENT,
        ),
        Case(
            "a rate so low that the run is still on the slope",
            lambda: patients.shells(optimizer=patients.adam(3e-5)),
            Outcome.ABSENT,
        ),
    ),
    is_cure_all=True,
    explained_by=("DAT001", "OPT005", "OPT010", "OPT011", "OPT018"),
)
