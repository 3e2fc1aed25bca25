"""The momentum is so high that the weights swing past where they should stop.

## What it checks
Whether the optimizer's momentum remembers gradients over a large part of the whole run: the memory, 1 / (1 − β) steps,
against the number of steps that are taken.

## Why it hurts
Momentum averages over steps, which carries the weights along a valley and past noise. But what is remembered cannot be
turned: a swing across the valley dies out by a factor of √β a step only, so that at β = 0.999 it takes thousands of
steps to halve a few times, whatever the rate is. In a run of some hundred steps the loss falls, rises again, and
rings to the end. With plain momentum the rate in effect is also multiplied by 1 / (1 − β).

## How it is measured
From the optimizer: the highest `momentum`, or first of `betas`, of its groups; from the set-up: the number of steps.
The suspicion is tested by training the same set-up from the same seeds with a momentum of 0.9, then with none. It is
confirmed if that ends lower on the training data and on held-out data by at least a tenth of the span. That there is
no momentum is no fault by itself; where an optimizer without it falls short at every rate, see optimizer-unsuited.

## Remedy
Set the momentum to 0.9, or leave it out.

## When to leave it
Runs of many thousand steps bear 0.99 and more, and large noise calls for it. Averages of weights (EMA) with 0.999 are
another thing: they do not drive the training.

## References
B. Polyak, "Some methods of speeding up the convergence of iteration methods", 1964 (swings shrink by √β a step).
N. Qian, "On the momentum term in gradient descent learning algorithms", 1999.
I. Sutskever, J. Martens, G. Dahl, G. Hinton, "On the importance of initialization and momentum in deep learning", 2013.
G. Goh, "Why momentum really works", Distill, 2017.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Final

import torch

from unstuck import patients
from unstuck.errors import RemedyError
from unstuck.measure.momentum import Momentum, momentum_of
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import OptimizerRecipe, Setup
from unstuck.setup.randomness import isolated

LONG: Final = Threshold(
    0.1,
    "steps of the run",
    "a swing shrinks by √β a step (Polyak 1964), to e^-5 within a run that is ten times as long as the memory",
)

USUAL: Final = Threshold(
    0.9, "1", "the default of Adam (Kingma and Ba 2015) and of most recipes (Sutskever et al. 2013)"
)

LOWER: Final = (0.9, 0.0)
FAULT: Final = 0.999
FAULT_RATE: Final = 5.0


def judge(momentum: Momentum) -> Verdict:
    """Suspect a momentum above the usual that remembers a large part of the run."""
    share = momentum.memory / momentum.steps if momentum.steps else math.nan
    long = Evidence(Quantity("memory of the momentum / length of the run", share, LONG.unit), LONG)
    value = Evidence(Quantity("momentum", momentum.value), USUAL)
    if math.isnan(momentum.value):
        return Verdict(Outcome.ABSENT, "The optimizer has no momentum.", (value,))
    if momentum.value <= USUAL.value or not share >= LONG.value:
        sentence = f"A momentum of {momentum.value:g} remembers {momentum.memory:.3g} steps, {share:.1%} of the run."
        return Verdict(Outcome.ABSENT, sentence, (long, value))
    sentence = (
        f"A momentum of {momentum.value:g} remembers {momentum.memory:.3g} steps, and the run has only "
        f"{momentum.steps}."
    )
    return Verdict(Outcome.PRESENT, sentence, (long, value))


def with_momentum(setup: Setup, value: float) -> Setup:
    """Set the momentum of every group.

    Args:
        setup: What is trained.
        value: The momentum, or the first of `betas`.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the optimizer has no such setting.
    """
    with isolated(setup.seed):
        _, optimizer = setup.build()
    if math.isnan(momentum_of(optimizer)):
        raise RemedyError(f"{type(optimizer).__name__} has no momentum")
    betas = optimizer.param_groups[0].get("betas")
    recipe = setup.optimizer
    if betas is not None:
        return replace(setup, optimizer=recipe.with_setting("betas", (value, *betas[1:])))
    recipe = recipe.with_setting("momentum", value)
    return replace(setup, optimizer=recipe if value > 0.0 else recipe.with_setting("nesterov", False))


def raise_momentum(setup: Setup) -> Setup:
    """Set the momentum to 0.999.

    Optimizers that divide by the size of past gradients swing less far; plain SGD takes their place, at five times the
    rate, which suits a momentum of 0.9.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the optimizer has no momentum.
    """
    with isolated(setup.seed):
        _, optimizer = setup.build()
    if "betas" not in optimizer.param_groups[0]:
        return with_momentum(setup, FAULT)
    rate = FAULT_RATE * float(optimizer.param_groups[0]["lr"])
    return replace(setup, optimizer=OptimizerRecipe(partial(torch.optim.SGD, lr=rate, momentum=FAULT)))


def lower_momentum(setup: Setup) -> tuple[Setup, ...]:
    """Set the momentum to 0.9, and to none."""
    return tuple(with_momentum(setup, value) for value in LOWER)


RULE = Rule(
    code="OPT014",
    judge=judge,
    fault=raise_momentum,
    remedy=Remedy("Lower the momentum.", lower_momentum, Applies.SAFE),
    cases=(
        Case(
            "SGD with a momentum of 0.999 in a run of two hundred steps",
            lambda: patients.shells(optimizer=patients.sgd(0.05, 0.999)),
            Outcome.PRESENT,
        ),
        Case("Adam as it usually is", patients.shells, Outcome.ABSENT),
        Case(
            "SGD with a momentum of 0.9",
            lambda: patients.shells(optimizer=patients.sgd(0.1, 0.9)),
            Outcome.ABSENT,
        ),
        Case(
            "a momentum of 0.97, in a run that is long enough for it",
            lambda: patients.shells(optimizer=patients.sgd(0.01, 0.97), epochs=60),
            Outcome.ABSENT,
        ),
    ),
    explained_by=("DAT001", "DAT002", "SET002", "SET006"),
)
