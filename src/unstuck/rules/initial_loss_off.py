"""The loss starts far above that of a constant prediction: the network is sure of what it cannot know yet.

## What it checks
Whether the loss before the first step lies further above that of the best constant prediction than that one lies above
the lowest possible loss: a last layer whose weights or bias start so large that the outputs are far from anything
the targets are.

## Why it hurts
An untrained network knows nothing, and should say what is most often right: with ten balanced classes a cross-entropy
starts at 2.3. One that starts at 20 spends the first part of its training on unlearning its own start, often most of a
short run. What the other layers learn meanwhile serves to undo the last one.

## How it is measured
The loss of the untrained network on training batches, in training mode, against that of the best constant, which is
found under the set-up's own loss, and the lowest loss that any outputs can have. The trial starts the last layer such
that the mean of its outputs is the best constant; then, besides, with its weights scaled so that they do not spread
more than what is to be predicted.

## Remedy
Start the last bias at the mean of the targets, at the logarithm of the class shares, or at the logit of the share of
yes; draw the last weights no larger than those of other layers.

## When to leave it
A start at twice the loss of the best constant is nothing: the first steps mend it, and the comparison clears it.
Targets in unwieldy units, inputs that were not scaled and weights that are too large in all layers are the causes where
they are found.

## References
Karpathy, "A recipe for training neural networks", 2019 (verify the loss at the start; start the last layer right).
Lin, Goyal, Girshick, He & Dollár, "Focal loss for dense object detection", ICCV 2017, section 4.1 (bias at the prior).
Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import nn
from torch.nn import functional

from unstuck.edits.last_layer import with_last_layer
from unstuck.errors import RemedyError
from unstuck.examine import Examination
from unstuck.measure.first_batch import FirstBatch
from unstuck.measure.initial_loss import InitialLoss
from unstuck.measure.layout import Layout
from unstuck.measure.loss_form import OutputForm
from unstuck.measure.preparation import Prepared
from unstuck.measure.task import Kind, Task
from unstuck.patients import classification, perceptron, regression
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup

FAR: Final = Threshold(
    1.0,
    "span from the best constant's loss to the lowest possible",
    "further above the best constant than everything that can be learned lies below it",
)
CONFIDENT: Final = 100.0
"""How far the fault moves the last bias, in logits or in spreads of the targets."""


def judge(start: InitialLoss) -> Verdict:
    """Suspect a loss that starts further above the best constant's than that lies above the lowest."""
    span = start.constant - start.ideal
    if not (math.isfinite(span) and span > 0.0):
        span = abs(start.constant)
    excess = (start.loss - start.constant) / span if span > 0.0 else math.nan
    name = "loss at the start above the best constant's / span from that to the lowest possible"
    evidence = (
        Evidence(Quantity(name, excess), FAR),
        Evidence(Quantity("loss at the start", start.loss)),
        Evidence(Quantity("loss of the best constant prediction", start.constant)),
    )
    numbers = f"The loss starts at {start.loss:.3g}; the best constant prediction has {start.constant:.3g}"
    if excess >= FAR.value:
        return Verdict(Outcome.PRESENT, f"{numbers}, so the network starts sure of what is wrong.", evidence)
    if excess < FAR.value:
        return Verdict(Outcome.ABSENT, f"{numbers}: close enough.", evidence)
    return Verdict(Outcome.UNDECIDED, "The loss at the start is no number.", evidence)


def start_sure(setup: Setup) -> Setup:
    """Start the last bias far from anything that the targets are."""
    prepared, task = Prepared.measure(setup), Task.measure(setup)
    first = FirstBatch.measure(prepared, task)
    if Layout.measure(prepared).final_activation is not None or len(task.output_shape) != 2:
        raise RemedyError("the outputs `[N, K]` must come from the last layer itself")
    if task.output_form is OutputForm.CLASS_LOGITS and task.kind is Kind.CLASSES and not task.one_hot:
        counts = torch.bincount(torch.cat([setup.targets(batch) for batch in setup.train.head(2000)]).flatten())
        return with_last_layer(setup, CONFIDENT * functional.one_hot(counts.argmin(), task.classes).float())
    if task.output_form is OutputForm.BINARY_LOGITS:
        return with_last_layer(setup, torch.full((task.output_shape[1],), -CONFIDENT))
    if task.output_form is OutputForm.VALUES and task.kind is Kind.VALUES:
        return with_last_layer(setup, torch.full((task.output_shape[1],), CONFIDENT * first.target_spread))
    raise RemedyError(f"the outputs are {task.output_form.value}, which the last bias does not move freely")


def centre_last_layer(setup: Setup) -> tuple[Setup, ...]:
    """The last bias at the best constant; then the last weights no larger than what is to be predicted, too.

    The start is measured on the set-up that is changed: another remedy, such as other units of the targets, moves it.

    Args:
        setup: What to change.

    Returns:
        One changed set-up, or two where the last weights are too large as well.

    Raises:
        RemedyError: If what the last layer would have to give is not known.
    """
    examination = Examination(setup)
    start, task, first = (examination.get(kind) for kind in (InitialLoss, Task, FirstBatch))
    if not (
        isinstance(start, InitialLoss) and isinstance(task, Task) and isinstance(first, FirstBatch) and start.wanted
    ):
        raise RemedyError("what the last layer would have to give for the best constant is not known")
    mean, wanted = torch.tensor(start.mean), torch.tensor(start.wanted)
    of_values = task.output_form is OutputForm.VALUES and task.kind is Kind.VALUES
    wide = first.target_spread / start.unit if of_values else 1.0
    moved = with_last_layer(setup, wanted - mean)
    if not start.spread > wide > 0.0:
        return (moved,)
    factor = wide / start.spread
    return moved, with_last_layer(setup, wanted - factor * mean, factor)


def _sure(*sizes: int, bias: float) -> nn.Module:
    net = perceptron(*sizes)
    last = net[-1]
    assert isinstance(last, nn.Linear)
    nn.init.constant_(last.bias[:1], bias)
    return net


RULE = Rule(
    code="SET017",
    judge=judge,
    fault=start_sure,
    remedy=Remedy(
        "Start the last bias at what is most often right, and the last weights no larger than others.",
        centre_last_layer,
        Applies.SAFE,
    ),
    cases=(
        Case(
            "numbers of scale 1, and a last bias that starts at 30",
            lambda: regression(lambda: _sure(3, 24, 1, bias=30.0), epochs=10),
            Outcome.PRESENT,
        ),
        Case("numbers of scale 1, and a last bias that starts near 0", regression, Outcome.ABSENT),
        Case("three classes whose logits start near 0", classification, Outcome.ABSENT),
        Case(
            "near miss: a start that is sure of one class by a little",
            lambda: classification(lambda: _sure(4, 24, 3, bias=2.0)),
            Outcome.ABSENT,
        ),
    ),
    explained_by=("SET003", "SET004", "SET005", "SET012", "DAT001", "DAT002", "OPT010", "OPT022"),
)
