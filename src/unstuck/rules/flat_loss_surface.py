"""The loss is flat where the outputs are wrong with confidence.

## What it checks
Whether a squared or absolute error stands behind a sigmoid or a softmax, and the outputs start near 0 or 1 on the wrong
side, where the activation has no slope.

## Why it hurts
The gradient of such an error holds the slope of the activation as a factor. Where an output is 0.9999 and should be 0,
the slope is 0.0001: the further from the target, the weaker the pull. The network stays on a plateau for thousands of
steps, though it is at no minimum. A cross-entropy undoes the slope, and pulls the more the further off an output is.

## How it is measured
On some samples of the untrained network, the gradient with respect to what the last activation takes is compared with
that of a cross-entropy, and this ratio with the one that undecided outputs would have. The trial trains with the
cross-entropy on the same logits, from the same start: it goes down at once where the plateau was to blame.

## Remedy
`CrossEntropyLoss` or `BCEWithLogitsLoss` on the outputs of the last layer, without the sigmoid or softmax.

## When to leave it
Squared errors behind a sigmoid train well from a start near the middle, which most have, and are not reported. Adam
divides by the gradient's size and crosses plateaus that stop SGD, unless the slope rounds to nothing.

## References
Golik, Doetsch & Ney, "Cross-entropy vs. squared error training: a theoretical and experimental comparison", 2013.
Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010, section 4.1 (the
plateaus of the quadratic cost).
Bridle, "Probabilistic interpretation of feedforward classification network outputs", 1990.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from unstuck.edits.activations import append_final_activation
from unstuck.edits.last_layer import with_last_layer
from unstuck.edits.losses import (
    binary_cross_entropy,
    cross_entropy,
    given_loss,
    on_logits,
    require_scaled_steps,
    squared_error_to_labels,
    with_outputs_as,
)
from unstuck.errors import RemedyError
from unstuck.measure.layout import Layout
from unstuck.measure.loss_form import OutputForm
from unstuck.measure.output_slope import OutputSlope
from unstuck.measure.preparation import Prepared
from unstuck.measure.task import Kind, Task
from unstuck.patients import perceptron, sgd, shells
from unstuck.quantity import Quantity, Threshold, roughly
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup

FLAT: Final = Threshold(
    0.1,
    "share of the pull at undecided outputs",
    "an order of magnitude: sound starts of bench/bases with squared errors behind them pass 0.7 and more",
)
CONFIDENT: Final = 15.0
"""Logit of outputs that are sure: 3e-7 from the bound, which float32 still tells from it."""


def judge(slope: OutputSlope) -> Verdict:
    """Suspect a start from which hardly any of the loss's pull passes the last activation."""
    passing = Evidence(Quantity("pull that passes the last activation / at undecided outputs", slope.passing), FLAT)
    wrong = Evidence(Quantity("share of the outputs that are on the wrong side at the start", slope.wrong))
    if not slope.activation:
        sentence = "No squared or absolute error of classes stands behind a sigmoid or softmax."
        return Verdict(Outcome.ABSENT, sentence, (passing,))
    if slope.passing < FLAT.value and slope.wrong > 0.0:
        sentence = (
            f"Against a cross-entropy, {slope.passing:.1e} of the pull passes the {slope.activation}: "
            f"{slope.wrong:.0%} of the outputs start sure and wrong, where it is flat."
        )
        return Verdict(Outcome.PRESENT, sentence, (passing, wrong))
    if slope.passing >= FLAT.value or slope.wrong == 0.0:
        sentence = f"At the start {roughly(slope.passing)} of the usual pull passes the {slope.activation}."
        return Verdict(Outcome.ABSENT, sentence, (passing, wrong))
    return Verdict(Outcome.UNDECIDED, "The pull at the start could not be measured.", (passing, wrong))


def start_on_a_plateau(setup: Setup) -> Setup:
    """Start sure of one class, with squared errors behind a softmax or sigmoid."""
    task = Task.measure(setup)
    given_loss(setup)
    if Layout.measure(Prepared.measure(setup)).final_activation is not None or len(task.output_shape) != 2:
        raise RemedyError("the outputs must be logits `[N, C]` of the last layer itself")
    require_scaled_steps(setup)
    if task.kind is Kind.CLASSES and task.output_form is OutputForm.CLASS_LOGITS and not task.one_hot:
        counts = torch.bincount(torch.cat([setup.targets(batch) for batch in setup.train.head(2000)]).flatten())
        shift = CONFIDENT * functional.one_hot(counts.argmin(), task.classes).float()
        squash: nn.Module = nn.Softmax(dim=1)
    elif task.kind is Kind.BINARY and task.output_form is OutputForm.BINARY_LOGITS and task.output_shape[1] == 1:
        shift, squash = torch.tensor([-CONFIDENT]), nn.Sigmoid()
    else:
        raise RemedyError(f"the loss must be a cross-entropy on logits; it takes {task.output_form.value}")
    sure = append_final_activation(with_last_layer(setup, shift), squash)
    return sure.with_loss(squared_error_to_labels, "mean squared error to zeros and ones")


def take_cross_entropy(setup: Setup, task: Task) -> Setup:
    """The cross-entropy of the same logits, from the same start."""
    given_loss(setup)
    bare = on_logits(setup)
    if task.kind is Kind.CLASSES:
        return with_outputs_as(bare, cross_entropy, "cross_entropy", OutputForm.CLASS_LOGITS.value)
    name = "binary_cross_entropy_with_logits"
    return with_outputs_as(bare, binary_cross_entropy, name, OutputForm.BINARY_LOGITS.value)


def _sure() -> nn.Module:
    """A perceptron that starts sure of the third class."""
    last = nn.Linear(32, 3)
    nn.init.constant_(last.bias[2:], CONFIDENT)
    return nn.Sequential(*perceptron(4, 32, 32), nn.ReLU(), last, nn.Softmax(dim=1))


def _undecided() -> nn.Module:
    return perceptron(4, 32, 32, 3, last=nn.Softmax(dim=1))


def _squared(outputs: Tensor, labels: Tensor) -> Tensor:
    return functional.mse_loss(outputs, functional.one_hot(labels, 3).float())


RULE = Rule(
    code="OPT022",
    judge=judge,
    fault=start_on_a_plateau,
    remedy=Remedy(
        "Use the cross-entropy of the logits, without the sigmoid or softmax.", take_cross_entropy, Applies.SAFE
    ),
    cases=(
        Case(
            "squared errors behind a softmax that starts sure of one class",
            lambda: shells(_sure, loss=_squared, optimizer=sgd(0.1, 0.9)),
            Outcome.PRESENT,
        ),
        Case("a cross-entropy of logits", shells, Outcome.ABSENT),
        Case(
            "near miss: squared errors behind a softmax that starts undecided",
            lambda: shells(_undecided, loss=_squared, optimizer=sgd(0.5, 0.9)),
            Outcome.ABSENT,
        ),
    ),
    explained_by=("DAT001",),
)
