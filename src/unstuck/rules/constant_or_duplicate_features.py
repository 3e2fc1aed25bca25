"""Features that never change in training change where the network is used.

## What it checks
Whether input features that are the same in all training samples vary in the validation or test samples.

## Why it hurts
The weights of a feature that never changes are never trained for it: they stay what the start made them, and the
feature adds a constant. Where it begins to change, those random weights speak, loudest where the feature is large. A
feature that is constant everywhere, as the corner pixels of a digit are, does no such harm, nor does a duplicate: it
costs time only, and is not reported.

## How it is measured
Features that are constant over at most 2000 training samples, their squared distance from that constant in the other
splits, over the mean variance of the training features that vary. The trial holds those features at their training
constant in every split, and scores held-out samples again.

## Remedy
Leave the features out, or hold them at their training value; find out why they do not change in training: a sensor
that was off, a category that came later, a table that was filtered, a column that was filled with a default.

## When to leave it
A pixel that is lit in one held-out sample of a hundred is chance: what it adds to the loss does not matter, and the
trial clears it.

## References
M. Kuhn, K. Johnson, "Applied predictive modeling", 2013, section 3.5 (predictors of zero variance).
Y. LeCun, L. Bottou, G. Orr, K.-R. Müller, "Efficient BackProp", 1998 (the gradient of a weight holds its input).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

import torch
from torch import Tensor

from unstuck import patients
from unstuck.edits.samples import every_split, in_memory
from unstuck.errors import RemedyError
from unstuck.measure.idle_features import IdleFeatures
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Aim, Case, Remedy, Rule
from unstuck.setup import Batch, Setup
from unstuck.setup.batch import floating_inputs, replace_each_input, replace_inputs

AS_LOUD: Final = Threshold(
    0.5, "variances of a training feature", "half of what one trained feature says; the trial decides what it costs"
)
SHARE: Final = 0.3
"""Of the features that the fault switches off in training."""

LOUDER: Final = 8.0
"""Factor on the features elsewhere: else too few of them are looked at to do harm."""


def judge(idle: IdleFeatures) -> Verdict:
    """Suspect features that are constant in training and vary elsewhere."""
    energy = Evidence(Quantity("mean square of the features that wake, outside training", idle.energy), AS_LOUD)
    constant = Evidence(Quantity("features that are constant in training", float(idle.constant), "features"))
    said = f"{idle.constant} of {idle.count} features are constant in training"
    if idle.constant < 1:
        return Verdict(Outcome.ABSENT, "Every feature varies in training.", (constant,))
    if idle.waking < 1:
        return Verdict(Outcome.ABSENT, f"{said}, and everywhere else.", (constant,))
    sentence = f"{said}, of which {idle.waking} vary elsewhere, by {idle.energy:.3g} variances of a training feature."
    if idle.energy >= AS_LOUD.value:
        where = (f"features {', '.join(map(str, idle.first))}",) if idle.first else ()
        return Verdict(Outcome.PRESENT, sentence, (energy, constant), where)
    return Verdict(Outcome.ABSENT, sentence, (energy, constant))


def switch_off_in_training(setup: Setup) -> Setup:
    """Hold three in ten of the features at zero in training, the last ones; elsewhere they are eight times as large."""
    vectors = [tensor for tensor in floating_inputs(setup.train.head(1)[0]) if tensor.dim() == 2]
    if not vectors or vectors[0].shape[1] < 2:
        raise RemedyError("inputs must be vectors of several features to switch some off")
    if setup.validation is None:
        raise RemedyError("there is no validation split in which features could change")

    def scaled(factor: float) -> Callable[[Batch], Batch]:
        def change(values: Tensor) -> Tensor:
            if values.dim() != 2 or values.shape[1] < 2:
                return values
            off = max(1, round(SHARE * values.shape[1]))
            factors = torch.ones(values.shape[1])
            factors[-off:] = factor
            return values * factors.to(values)

        return lambda batch: replace_inputs(batch, change)

    loud = every_split(setup, lambda data: in_memory(data).mapped(scaled(LOUDER)))
    return replace(loud, train=in_memory(setup.train).mapped(scaled(0.0)))


def hold_constant(setup: Setup) -> Setup:
    """Hold the features that are constant in training at that constant in every split.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.
    """
    inputs = floating_inputs(in_memory(setup.train).samples)
    holds = [partial(_held, constant=(tensor == tensor[:1]).all(0), at=tensor[0]) for tensor in inputs]
    return every_split(setup, lambda data: in_memory(data).mapped(lambda batch: replace_each_input(batch, holds)))


def _held(values: Tensor, constant: Tensor, at: Tensor) -> Tensor:
    """Values `[N, …]` with those of the places that are `constant` set to what they are `at`."""
    return torch.where(constant.to(values.device), at.to(values), values)


def _one_constant(values: Tensor) -> Tensor:
    return torch.cat([values[:, :3], torch.ones(len(values), 1)], 1)


def _duplicate(values: Tensor) -> Tensor:
    return torch.cat([values[:, :3], values[:, :1]], 1)


RULE = Rule(
    code="DAT007",
    judge=judge,
    fault=switch_off_in_training,
    remedy=Remedy(
        "Leave out the features that never change in training, or hold them at that value.", hold_constant, Applies.SAFE
    ),
    cases=(
        Case(
            "a feature that is off in training and on elsewhere",
            lambda: switch_off_in_training(patients.classification()),
            Outcome.PRESENT,
        ),
        Case("features that vary", patients.classification, Outcome.ABSENT),
        Case(
            "near miss: a feature that is constant everywhere",
            lambda: patients.classification(inputs=_one_constant),
            Outcome.ABSENT,
        ),
        Case(
            "near miss: a feature that occurs twice", lambda: patients.classification(inputs=_duplicate), Outcome.ABSENT
        ),
    ),
    aim=Aim.HELD_OUT,
)
