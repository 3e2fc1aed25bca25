"""A few samples lie so far out that they steer the training.

## What it checks
Whether a few samples own most of the spread of the inputs or the targets, and whether the network does better on
held-out samples once they are pulled in.

## Why it hurts
Under a squared error a target that is 30 times as far out counts 900 times. An input that is 30 times as large has 30
times the gradient. One batch with such a sample throws the network off, and the others spend their steps on coming
back; what is learnt in the end fits the few, who are often no more than slips: a comma in the wrong place, a sensor
that was off, -999 for "not known".

## How it is measured
Squared distances from the median, in interquartile ranges of each column, from at most 2000 training samples: the
share that the largest three in a hundred own. The trial pulls inputs and targets in to Tukey's outer fences, three
interquartile ranges beyond the quartiles, and tries a Huber loss.

## Remedy
Look at the samples first: correct or drop what is wrong. Where they are right, clip at quantiles of the training
split, take logarithms, or use a loss that grows linearly (Huber, mean absolute error).

## When to leave it
Heavy tails that belong to the task, as of prices or sizes, may hold what matters. Where pulling them in gains nothing
on held-out samples, nothing is reported.

## References
P. J. Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35, 1964.
J. W. Tukey, "Exploratory data analysis", 1977 (outer fences).
F. R. Hampel et al., "Robust statistics: the approach based on influence functions", 1986.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor, nn

from unstuck import patients
from unstuck.edits.samples import every_split, in_memory
from unstuck.errors import RemedyError
from unstuck.measure.tails import Tail, Tails, fences
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Aim, Case, Remedy, Rule
from unstuck.setup import Setup
from unstuck.setup.batch import floating_inputs, replace_each_input, replace_inputs, replace_targets

MOST: Final = Threshold(0.5, "share of the spread", "majority: the few weigh more than all others together")
FAR_OUT: Final = Threshold(
    3.0,
    "interquartile ranges",
    "Tukey's outer fences (1977) lie so far beyond the quartiles: two normal numbers in a million pass them",
)
SPOILT: Final = 0.02
"""Share of the samples that the fault moves."""

DISTANCE: Final = 30.0
"""Standard deviations by which the fault moves numbers."""


def judge(tails: Tails) -> Verdict:
    """Suspect a few samples that own most of the spread, and lie far from the median."""
    if not tails.tails:
        return Verdict(Outcome.ABSENT, "Neither inputs nor targets are numbers that vary.")
    ordered = sorted(tails.tails, key=lambda tail: tail.owned if math.isfinite(tail.owned) else -1.0, reverse=True)
    evidence = tuple(Evidence(_owned(tail), MOST) for tail in ordered)
    worst = ordered[0]
    sentence = (
        f"The {worst.few} largest of {tails.samples} samples own {worst.owned:.0%} of the spread of the {worst.part}; "
        f"the largest number lies {worst.largest:.3g} interquartile ranges from the median."
    )
    if worst.owned >= MOST.value and worst.largest > FAR_OUT.value:
        return Verdict(Outcome.PRESENT, sentence, evidence)
    return Verdict(Outcome.ABSENT, sentence, evidence)


def _owned(tail: Tail) -> Quantity:
    return Quantity(f"share of the spread of the {tail.part} that its few largest samples own", tail.owned)


def spoil_samples(setup: Setup) -> Setup:
    """Move two in a hundred of the training samples thirty deviations out: targets that are numbers, else inputs."""
    train = in_memory(setup.train)
    targets = setup.targets(train.samples)
    hit = torch.rand(train.size, generator=torch.Generator().manual_seed(0)) < SPOILT
    hit[0] = True
    sides = torch.where(torch.rand(train.size, generator=torch.Generator().manual_seed(1)) < 0.5, -1.0, 1.0)

    def moved(values: Tensor) -> Tensor:
        shape = (-1, *[1] * (values.dim() - 1))
        far = DISTANCE * values.std() * sides.to(values).reshape(shape)
        return torch.where(hit.to(values.device).reshape(shape), values + far, values)

    numbers = isinstance(targets, Tensor) and targets.is_floating_point() and len(targets.unique()) > 2
    if numbers:
        return replace(setup, train=train.mapped(lambda batch: replace_targets(batch, moved(targets))))
    if not floating_inputs(train.samples):
        raise RemedyError("neither targets nor inputs are numbers that could lie far out")
    return replace(setup, train=train.mapped(lambda batch: replace_inputs(batch, moved)))


def pull_in(setup: Setup) -> tuple[Setup, ...]:
    """Clip at the training split's outer fences; or use a Huber loss in place of the squared error.

    Args:
        setup: What is trained.

    Returns:
        Clipped inputs in every split and targets in training; and the same with a Huber loss where that applies.

    Raises:
        RemedyError: If the samples are not held in memory.
    """
    train = in_memory(setup.train)
    targets = setup.targets(train.samples)
    clips = [_clip_at(*fences(tensor, FAR_OUT.value)) for tensor in floating_inputs(train.samples)]
    clipped = every_split(setup, lambda data: data.mapped(lambda batch: replace_each_input(batch, clips)))
    if isinstance(targets, Tensor) and targets.is_floating_point():
        within = _clip_at(*fences(targets, FAR_OUT.value))(targets)
        clipped = replace(clipped, train=clipped.train.mapped(lambda batch: replace_targets(batch, within)))
    if type(setup.loss) is not nn.MSELoss or setup.loss.reduction != "mean" or not isinstance(targets, Tensor):
        return (clipped,)
    low, high = targets.double().quantile(torch.tensor([0.25, 0.75], dtype=torch.float64))
    huber = _TwiceHuber(max(float(high - low), 1e-12))
    return clipped, setup.with_loss(huber, f"Huber, linear beyond {huber.delta:.3g}")


class _TwiceHuber:
    """Twice a Huber loss: the squared error up to a distance of `delta`, linear beyond."""

    def __init__(self, delta: float) -> None:
        self.delta = delta

    def __call__(self, outputs: Any, targets: Any) -> Tensor:
        return 2.0 * nn.functional.huber_loss(outputs, targets, delta=self.delta)


def _clip_at(low: Tensor, high: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda values: values.clamp(low.to(values), high.to(values))


def _heavy(values: Tensor) -> Tensor:
    return values.sinh()


RULE = Rule(
    code="DAT009",
    judge=judge,
    fault=spoil_samples,
    remedy=Remedy(
        "Correct or drop what lies far out; else clip it, or use a loss that grows linearly.", pull_in, Applies.OPT_IN
    ),
    cases=(
        Case("a few targets thirty deviations out", lambda: spoil_samples(patients.regression()), Outcome.PRESENT),
        Case("numbers without tails", patients.regression, Outcome.ABSENT),
        Case(
            "near miss: inputs with the heavy tails of sizes",
            lambda: patients.regression(inputs=_heavy),
            Outcome.ABSENT,
        ),
    ),
    aim=Aim.HELD_OUT,
)
