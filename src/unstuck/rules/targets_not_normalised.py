"""The targets of a regression lie far from anything that the network gives at its start.

## What it checks
Whether the numbers to be predicted have a mean or a scale that the outputs at initialisation are an order of magnitude
away from: prices of 200,000, temperatures in kelvin, concentrations of a millionth. Labels have no scale.

## Why it hurts
A network starts with outputs around 0 and of a scale near 1. Before it can learn what depends on the inputs, the last
layer must travel all the way to the targets; with steps of a thousandth, that alone outlasts most runs. The loss
starts at the square of the distance, so that gradients are huge and plain SGD diverges at rates that are sound
elsewhere. Targets that are tiny drown in the noise of the outputs' own start.

## How it is measured
Targets are held against the outputs of the untrained model on the same samples: the root mean square of their
difference, in units of the outputs' own spread or of 1, which is what sound starts aim for, whichever is larger; and
in units of the targets' spread, where they are tiny. In the trial the network learns standardised targets, and a
fixed layer behind it restores the units, so that the loss as given judges both.

## Remedy
Standardise the targets with mean and deviation of the training split, and undo it on what the network says. The
logarithm is better where targets span orders of magnitude. Starting the last bias at the mean of the targets mends
the offset, though not the scale.

## When to leave it
A last layer that starts where the targets are is not reported, whatever their units. Targets that a fast optimizer
reaches all the same are cleared by the comparison.

## References
LeCun, Bottou, Orr & Müller, "Efficient BackProp", 1998, section 4.5 (target values).
Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010, and He et al.,
"Delving deep into rectifiers", 2015 (starts that keep the scale at 1).
Karpathy, "A recipe for training neural networks", 2019 (start the last layer right).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import torch
from torch import nn

from unstuck.edits.last_layer import with_last_layer
from unstuck.edits.scaling import scale_targets, standardise_targets
from unstuck.errors import RemedyError
from unstuck.examine import Examination
from unstuck.measure.first_batch import FirstBatch
from unstuck.measure.initial_loss import InitialLoss
from unstuck.measure.layout import Layout
from unstuck.measure.loss_form import OutputForm
from unstuck.measure.preparation import Prepared
from unstuck.measure.protocol import Unmeasured
from unstuck.measure.task import Kind, Task
from unstuck.patients import regression
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup

FAR: Final = Threshold(
    10.0,
    "1",
    "an order of magnitude beyond the unit scale that starts aim for (Glorot & Bengio 2010, He et al. 2015)",
)
OFF: Final = Threshold(1.0, "spread of the targets", "further from their mean than targets usually are")
LARGE_FACTOR: Final = 200.0
"""Spread of the targets that the fault leaves."""

DISTANCE: Final = 500.0
"""Offset that it adds."""


def judge(task: Task, first: FirstBatch) -> Verdict:
    """Suspect targets of a regression that are far from the outputs at initialisation, or tiny beside them."""
    if not _has_scale(task, first):
        return Verdict(Outcome.ABSENT, f"The targets are {task.kind.value}, whose scale is not free to choose.")
    unit = max(1.0, first.output_spread)
    far = Quantity(
        "distance of targets from the outputs at initialisation / scale of the outputs, at least 1",
        first.distance / unit,
    )
    # A constant target has no spread to be missed by.
    spread = first.target_spread if first.target_spread > 0.0 else math.inf
    missed = Quantity(
        "distance of targets from the outputs at initialisation, at most 1 / spread of the targets",
        math.nan if math.isnan(first.distance) else min(first.distance, 1.0) / spread,
    )
    evidence = (Evidence(far, FAR), Evidence(missed, FAR))
    if math.isnan(far.value) or math.isnan(missed.value):
        return Verdict(Outcome.UNDECIDED, "Targets and outputs could not be held against each other.", evidence)
    where = f"targets around {first.target_mean:.3g} ± {first.target_spread:.3g}"
    start = f"outputs at initialisation around {first.output_mean:.3g} ± {first.output_spread:.3g}"
    if far.value >= FAR.value:
        return Verdict(Outcome.PRESENT, f"The {where} are far from {start}.", evidence)
    if missed.value >= FAR.value:
        return Verdict(Outcome.PRESENT, f"The {where} are tiny beside {start}.", evidence[::-1])
    return Verdict(Outcome.ABSENT, f"The {where} are within reach of {start}.", evidence)


def _has_scale(task: Task, first: FirstBatch) -> bool:
    alike = math.prod(first.output_shape) == math.prod(first.target_shape)
    return task.kind is Kind.VALUES and task.output_form in (OutputForm.VALUES, OutputForm.UNKNOWN) and alike


def leave_units(setup: Setup) -> Setup:
    """Give the targets of a regression unwieldy units."""
    prepared = Prepared.measure(setup)
    task = Task.measure(setup)
    first = FirstBatch.measure(prepared, task)
    if task.kind is not Kind.VALUES or task.output_form is not OutputForm.VALUES:
        raise RemedyError(f"the targets must be numbers to be regressed on; they are {task.kind.value}")
    if Layout.measure(prepared).final_activation is not None:
        raise RemedyError("the outputs must be free to take any value; there is an activation behind the last layer")
    size = max(first.target_spread, 1e-12)
    return scale_targets(setup, LARGE_FACTOR / size, DISTANCE)


def standardise(setup: Setup) -> tuple[Setup, ...]:
    """Let the network learn standardised targets and answer in the original units.

    Args:
        setup: What to change.

    Returns:
        The changed set-up; where the last layer starts far off in the new units, also one in which it starts with the
        answers that it started with in the old ones.
    """
    changed = standardise_targets(setup)
    # The cured model answers in the original units, so the loss as given judges its outputs as they are.
    changed = replace(changed, described={**changed.described, "loss_units": "same"})
    before, after = (Examination(each).get(InitialLoss) for each in (setup, changed))
    if isinstance(before, Unmeasured) or isinstance(after, Unmeasured):
        return (changed,)
    if not len(before.mean) == len(after.mean) == 1 or abs(after.mean[0]) <= OFF.value:
        return (changed,)
    start = after.wanted[0] + (before.mean[0] - before.wanted[0]) * before.unit / after.unit
    try:
        return changed, with_last_layer(changed, torch.tensor([start - after.mean[0]]))
    except RemedyError:
        return (changed,)


def _at_mean() -> nn.Module:
    last = nn.Linear(24, 1)
    nn.init.constant_(last.bias, 500.0)
    return nn.Sequential(nn.Linear(3, 24), nn.ReLU(), last)


RULE = Rule(
    code="DAT002",
    judge=judge,
    fault=leave_units,
    remedy=Remedy(
        "Standardise the targets with mean and deviation of the training split, and undo it on the outputs.",
        standardise,
        Applies.SAFE,
    ),
    cases=(
        Case(
            "targets around 500 with a scale of 200",
            lambda: regression(targets=lambda values: 200.0 * values + 500.0),
            Outcome.PRESENT,
        ),
        Case("targets of mean 0 and scale 1", regression, Outcome.ABSENT),
        Case(
            "near miss: targets around 500, where the last bias starts",
            lambda: regression(_at_mean, targets=lambda values: values + 500.0),
            Outcome.ABSENT,
        ),
        Case(
            "near miss: targets around five, a few of their spreads from the start",
            lambda: regression(targets=lambda values: values + 5.0),
            Outcome.ABSENT,
        ),
    ),
)
