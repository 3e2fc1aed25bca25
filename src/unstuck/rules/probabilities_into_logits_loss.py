"""The outputs are already probabilities, and the loss takes them for logits.

## What it checks
Whether the last activation is a softmax or a sigmoid although the loss applies its own: `nn.Softmax` in front of
`nn.CrossEntropyLoss`, `nn.Sigmoid` in front of `nn.BCEWithLogitsLoss`, or a loss function that takes the softmax
before it calls `cross_entropy`.

## Why it hurts
A softmax of numbers between 0 and 1 can never be sure: with ten classes the loss cannot fall below 1.46, however
right every answer is. Worse, the gradient passes through two squashing functions, so that it is small where the
network is wrong with confidence. Training is slow, stalls early, and often gets stuck on some of the classes.

## How it is measured
The loss is called on numbers of our own to find out what it does to the outputs: one that stays the same when the
same number is added to all outputs of a sample has a softmax inside. The last layer is then driven far both ways:
where the outputs of every sample still sum to 1, or stay between 0 and 1 behind a sigmoid, they are probabilities.
The trial trains the same network without its last activation, from the same seeds.

## Remedy
Drop the last activation, and keep the loss; apply `softmax` or `sigmoid` only where probabilities are read out. A
softmax inside the loss function is dropped there instead.

## When to leave it
A log-softmax in front of a cross-entropy changes nothing, as the logarithm of a softmax is its own; it is not
reported. Where probabilities are squashed once more on purpose, as a crude label smoothing, `label_smoothing` says
so more clearly.

## References
Bridle, "Probabilistic interpretation of feedforward classification network outputs", 1990 (the softmax and its loss).
Goodfellow, Bengio & Courville, "Deep Learning", 2016, section 6.2.2 (why the loss undoes the squashing).
Humbatova et al., "Taxonomy of real faults in deep learning systems", ICSE 2020.
"""

from __future__ import annotations

from typing import Final

from torch import nn
from torch.nn import functional

from unstuck.edits.activations import append_final_activation, drop_final_activation
from unstuck.edits.losses import binary_cross_entropy
from unstuck.errors import RemedyError
from unstuck.measure.layout import Layout
from unstuck.measure.loss_form import SIGMOID_IN_LOSS, SOFTMAX_IN_LOSS, OutputForm
from unstuck.measure.output_reach import OutputReach
from unstuck.measure.task import Task
from unstuck.patients import classification, perceptron
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup

ROUNDING: Final = Threshold(
    1e-4,
    "1",
    "rounding of a sum of C float32 numbers: C · 6e-8 (Higham, Accuracy and Stability of Numerical Algorithms, 2002)",
)
IN_LOSS: Final = {SOFTMAX_IN_LOSS: "softmax", SIGMOID_IN_LOSS: "sigmoid"}
OWN: Final = {OutputForm.CLASS_LOGITS: "softmax", OutputForm.BINARY_LOGITS: "sigmoid"}


def judge(task: Task, reach: OutputReach, layout: Layout) -> Verdict:
    """Suspect where the outputs are probabilities and the loss squashes them once more."""
    if task.loss_name in IN_LOSS:
        squashed = reach.sums_to_one or layout.last_operation == IN_LOSS[task.loss_name]
        name = "times that outputs are squashed before the cross-entropy, which does so itself"
        twice = Evidence(Quantity(name, 1.0 + float(squashed)))
        sentence = f"The loss takes the {IN_LOSS[task.loss_name]} of the outputs before a cross-entropy."
        return Verdict(Outcome.PRESENT, sentence, (twice,))
    deviation = max(abs(reach.sum_high - 1.0), abs(reach.sum_low - 1.0))
    sums = Evidence(Quantity("largest distance of a sample's sum of outputs from 1", deviation), ROUNDING)
    largest = Evidence(Quantity("largest output, the last layer driven far both ways", reach.high))
    smallest = Evidence(Quantity("smallest output, the last layer driven far both ways", reach.low))
    if task.output_form not in OWN:
        sentence = f"The loss applies no softmax or sigmoid of its own ({task.loss_name})."
        return Verdict(Outcome.ABSENT, sentence, (largest, smallest))
    if reach.constant:
        return Verdict(Outcome.ABSENT, f"The outputs are always {reach.high:g}, so nothing is squashed.", (largest,))
    own = OWN[task.output_form]
    if reach.sums_to_one:
        sentence = f"The outputs of every sample sum to 1, and the loss takes their {own} once more."
        return Verdict(Outcome.PRESENT, sentence, (sums, largest, smallest), _where(layout))
    between = reach.low >= -ROUNDING.value and reach.high <= 1.0 + ROUNDING.value
    if between and layout.last_operation == "sigmoid":
        sentence = f"The outputs come from a sigmoid, and the loss takes their {own} once more."
        return Verdict(Outcome.PRESENT, sentence, (largest, smallest), _where(layout))
    sentence = f"The outputs reach from {reach.low:.3g} to {reach.high:.3g}: they are no probabilities."
    return Verdict(Outcome.ABSENT, sentence, (largest, smallest))


def _where(layout: Layout) -> tuple[str, ...]:
    last = layout.final_activation
    return () if last is None else (last.layer or last.function or last.operation,)


def append_softmax(setup: Setup) -> Setup:
    """Put a softmax, or a sigmoid, behind outputs that the loss takes for logits."""
    form = Task.measure(setup).output_form
    if form is OutputForm.CLASS_LOGITS:
        return append_final_activation(setup, nn.Softmax(dim=1))
    if form is OutputForm.BINARY_LOGITS:
        return append_final_activation(setup, nn.Sigmoid())
    raise RemedyError(f"the loss must take logits to be given probabilities by mistake; it takes {form.value}")


def drop_last_activation(setup: Setup, task: Task) -> Setup:
    """Leave the squashing to the loss."""
    if task.loss_name == SIGMOID_IN_LOSS:
        return setup.with_loss(binary_cross_entropy, "binary_cross_entropy_with_logits, no sigmoid before")
    if task.loss_name == SOFTMAX_IN_LOSS:
        return setup.with_loss(functional.cross_entropy, "cross_entropy of the outputs themselves, no softmax before")
    return drop_final_activation(setup)


RULE = Rule(
    code="SET002",
    judge=judge,
    fault=append_softmax,
    remedy=Remedy(
        "Drop the softmax or sigmoid in front of a loss that applies its own.", drop_last_activation, Applies.SAFE
    ),
    cases=(
        Case(
            "three classes through a softmax into a cross-entropy",
            lambda: classification(lambda: perceptron(4, 24, 3, last=nn.Softmax(dim=1))),
            Outcome.PRESENT,
        ),
        Case(
            "yes or no through a sigmoid into a cross-entropy with logits",
            lambda: classification(
                lambda: perceptron(4, 24, 1, last=nn.Sigmoid()),
                loss=nn.BCEWithLogitsLoss(),
                targets=lambda labels: (labels > 0).float().unsqueeze(1),
            ),
            Outcome.PRESENT,
        ),
        Case(
            "yes or no as logits, and a loss that takes their sigmoid before a cross-entropy with logits",
            lambda: classification(
                lambda: perceptron(4, 24, 1),
                loss=lambda outputs, wanted: functional.binary_cross_entropy_with_logits(outputs.sigmoid(), wanted),
                targets=lambda labels: (labels > 1).float().unsqueeze(1),
            ),
            Outcome.PRESENT,
        ),
        Case("three classes as logits into a cross-entropy", classification, Outcome.ABSENT),
        Case(
            "near miss: a log-softmax in front of a cross-entropy, which it does not change",
            lambda: classification(lambda: perceptron(4, 24, 3, last=nn.LogSoftmax(dim=1))),
            Outcome.ABSENT,
        ),
        Case(
            "near miss: a softmax in front of a loss that takes the logarithm of probabilities",
            lambda: classification(
                lambda: perceptron(4, 24, 3, last=nn.Softmax(dim=1)),
                loss=lambda outputs, labels: functional.nll_loss((outputs + 1e-8).log(), labels),
            ),
            Outcome.ABSENT,
        ),
    ),
)
