"""The loss is not made for what the targets are.

## What it checks
Whether a loss on numbers is put to classes, as squared or absolute errors on one-hot targets are; or a loss on classes
to numbers, as `CrossEntropyLoss` on continuous targets, on several labels at once, or on a single output; or a binary
cross-entropy to targets beyond 0 and 1; or a Poisson loss to targets below 0.

## Why it hurts
A cross-entropy over one output is 0 whatever the network says, so nothing is learned. Over several, with targets that
are no probabilities of classes, it has its minimum elsewhere than at the targets, or none. Absolute errors of one-hot
targets are small where everything is 0, since most entries are, and squared ones pull far less on the one wrong class
than a cross-entropy does.

## How it is measured
The loss is called on numbers of our own to find out what it is, and held against the targets: their range, whether they
are whole, whether a sample's sum to 1. The trial trains with the loss that fits, from the same seeds, and with the
gradient brought to the size that it had, so that it is not another learning rate in disguise. As losses do not compare,
the task's own error decides.

## Remedy
Choose the loss by the targets: `CrossEntropyLoss` for one of several classes, `BCEWithLogitsLoss` for yes or no and
for several labels at once, `MSELoss` for numbers; each on the outputs of the last layer, with no activation behind it.

## When to leave it
Squared errors on one-hot targets (the Brier score) train many networks well, and the comparison clears them. Targets
that are probabilities of classes fit a cross-entropy, and shares between 0 and 1 a binary one.

## References
Goodfellow, Bengio & Courville, "Deep Learning", 2016, section 6.2 (losses as likelihoods of what is to be predicted).
Hui & Belkin, "Evaluation of neural architectures trained with square loss vs cross-entropy", ICLR 2021 (when it does).
Ghosh, Kumar & Sastry, "Robust loss functions under label noise", AAAI 2017 (why absolute errors learn slowly).
Humbatova et al., "Taxonomy of real faults in deep learning systems", ICSE 2020 (wrong loss function).
"""

from __future__ import annotations

import math
from typing import Any, Final

from torch import Tensor, nn
from torch.nn import functional

from unstuck.edits.losses import (
    absolute_error_to_one_hot,
    binary_cross_entropy,
    cross_entropy,
    given_loss,
    on_logits,
    squared_error,
    with_gradient_like,
    with_outputs_as,
)
from unstuck.errors import RemedyError
from unstuck.measure.first_batch import FirstBatch
from unstuck.measure.loss_form import OutputForm
from unstuck.measure.task import OF_CLASSES, OF_YES_OR_NO, Kind, Task
from unstuck.patients import classification, perceptron, regression, shells
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup

BEYOND: Final = Threshold(
    1e-3,
    "1",
    "rounding of probabilities that are given to three digits or in half precision (IEEE 754: 5e-4 below 1)",
)
OF_COUNTS: Final = (OutputForm.LOG_RATES, OutputForm.RATES)


def judge(task: Task, first: FirstBatch) -> Verdict:
    """Suspect a loss on numbers that is put to classes, and one on classes that is put to numbers."""
    lowest, highest = Quantity("smallest target", first.target_low), Quantity("largest target", first.target_high)
    outputs = Quantity("outputs a sample", float(math.prod(task.output_shape[1:])))
    evidence = (Evidence(lowest), Evidence(highest), Evidence(outputs))
    between = f"between {first.target_low:.3g} and {first.target_high:.3g}"
    form, kind = task.output_form, task.kind
    if form is OutputForm.NOTHING:
        sentence = f"The {task.loss_name} over {_counted(task.output_shape)} is the same whatever the network says."
        return Verdict(Outcome.PRESENT, sentence, evidence[::-1], certain=True)
    if form in OF_CLASSES and kind in (Kind.VALUES, Kind.BINARY, Kind.LABELS):
        if task.output_shape[1:2] in ((), (1,)):
            sentence = f"The {task.loss_name} over a single output is the same whatever the network says."
            return Verdict(Outcome.PRESENT, sentence, evidence[::-1], certain=True)
        sentence = f"The {task.loss_name} takes one of several classes; the targets are {kind.value}, {between}."
        return Verdict(Outcome.PRESENT, sentence, evidence)
    if form in OF_YES_OR_NO:
        beyond = max(-first.target_low, first.target_high - 1.0)
        distance = Evidence(Quantity("distance of the furthest target beyond 0 and 1", beyond), BEYOND)
        if beyond > BEYOND.value:
            sentence = f"The {task.loss_name} takes targets between 0 and 1; they lie {between}."
            return Verdict(Outcome.PRESENT, sentence, (distance, *evidence))
        return Verdict(Outcome.ABSENT, f"The {task.loss_name} fits targets {between}.", (distance, *evidence))
    if form in OF_COUNTS and first.target_low < 0.0:
        sentence = f"The {task.loss_name} takes counts, which are never below 0; the targets lie {between}."
        return Verdict(Outcome.PRESENT, sentence, evidence)
    if form is OutputForm.VALUES and kind in (Kind.CLASSES, Kind.BINARY, Kind.LABELS):
        sentence = f"The {task.loss_name} takes numbers; the targets are {kind.value}."
        return Verdict(Outcome.PRESENT, sentence, evidence)
    if form is OutputForm.UNKNOWN:
        return Verdict(Outcome.UNDECIDED, "The loss is no textbook one, so what it is made for is not known.", evidence)
    return Verdict(Outcome.ABSENT, f"The {task.loss_name} fits targets that are {kind.value}.", evidence)


def _counted(shape: tuple[int, ...]) -> str:
    return "a single output" if math.prod(shape[1:]) == 1 else f"outputs {list(shape)}"


def mistake_the_task(setup: Setup) -> Setup:
    """Put a cross-entropy to numbers, and absolute errors to classes."""
    task = Task.measure(setup)
    given_loss(setup)
    if task.kind is Kind.CLASSES and task.output_form is OutputForm.CLASS_LOGITS and task.class_dimension == 1:
        return setup.with_loss(absolute_error_to_one_hot, "mean absolute error to one-hot targets")
    same = task.output_shape == task.target_shape and len(task.output_shape) == 2
    if same and (task.kind, task.output_form) in (
        (Kind.VALUES, OutputForm.VALUES),
        (Kind.BINARY, OutputForm.BINARY_LOGITS),
    ):
        return setup.with_loss(_float_cross_entropy, "CrossEntropyLoss()")
    raise RemedyError(f"the loss on {task.output_form.value} has no other that is taken for it")


def _float_cross_entropy(outputs: Tensor, targets: Any) -> Tensor:
    return functional.cross_entropy(outputs, targets.to(outputs.dtype))


def fit_the_task(setup: Setup, task: Task) -> Setup:
    """The loss that fits the targets, on the outputs of the last layer, with a gradient of the same size."""
    given_loss(setup)
    bare = on_logits(setup)
    alike = math.prod(task.output_shape) == math.prod(task.target_shape)
    if task.kind is Kind.CLASSES or (task.kind is Kind.BINARY and task.output_shape[1:2] == (2,)):
        changed = with_outputs_as(bare, cross_entropy, "cross_entropy", OutputForm.CLASS_LOGITS.value)
    elif task.kind in (Kind.BINARY, Kind.LABELS) and alike:
        name = "binary_cross_entropy_with_logits"
        changed = with_outputs_as(bare, binary_cross_entropy, name, OutputForm.BINARY_LOGITS.value)
    elif task.kind is Kind.VALUES and alike:
        changed = with_outputs_as(bare, squared_error, "mse_loss", OutputForm.VALUES.value)
    else:
        raise RemedyError(f"outputs {list(task.output_shape)} do not match targets {list(task.target_shape)}")
    return with_gradient_like(changed, setup)


def _yes(labels: Tensor) -> Tensor:
    return (labels > 0).float().unsqueeze(1)


def _of_shares(outputs: Tensor, labels: Tensor) -> Tensor:
    shares = outputs.sigmoid() / outputs.sigmoid().sum(1, keepdim=True)
    return -(labels * shares.clamp(1e-7, 1.0).log()).sum(1).mean()


def _squared_on_one_hot(outputs: Tensor, labels: Tensor) -> Tensor:
    return functional.mse_loss(outputs, functional.one_hot(labels, 3).float())


RULE = Rule(
    code="SET005",
    judge=judge,
    fault=mistake_the_task,
    remedy=Remedy("Choose the loss, and the last activation, by what the targets are.", fit_the_task, Applies.SAFE),
    cases=(
        Case("numbers under a cross-entropy", lambda: regression(loss=nn.CrossEntropyLoss()), Outcome.PRESENT),
        Case(
            "yes or no from a single output under a cross-entropy",
            lambda: classification(lambda: perceptron(4, 24, 1), loss=nn.CrossEntropyLoss(), targets=_yes),
            Outcome.PRESENT,
        ),
        Case(
            "numbers of either sign under a binary cross-entropy",
            lambda: regression(loss=nn.BCEWithLogitsLoss()),
            Outcome.PRESENT,
        ),
        Case(
            "shares of a single output, which are 1 whatever it is",
            lambda: classification(lambda: perceptron(4, 24, 1), loss=_of_shares, targets=_yes),
            Outcome.PRESENT,
        ),
        Case(
            "numbers of either sign under a Poisson loss",
            lambda: regression(loss=nn.PoissonNLLLoss()),
            Outcome.PRESENT,
        ),
        Case("numbers under a squared error", regression, Outcome.ABSENT),
        Case(
            "near miss: squared errors on one-hot targets, which do as well here",
            lambda: shells(loss=_squared_on_one_hot),
            Outcome.ABSENT,
        ),
        Case(
            "near miss: shares between 0 and 1 under a binary cross-entropy",
            lambda: regression(loss=nn.BCEWithLogitsLoss(), targets=lambda values: values.sigmoid()),
            Outcome.ABSENT,
        ),
        Case(
            "near miss: probabilities of classes under a cross-entropy",
            lambda: classification(targets=lambda labels: (4.0 * functional.one_hot(labels, 3).float()).softmax(1)),
            Outcome.ABSENT,
        ),
    ),
    explained_by=("OPT022",),
)
