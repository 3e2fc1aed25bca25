"""The outputs are raw scores, and the loss takes them for probabilities or their logarithms.

## What it checks
Whether a loss on probabilities gets numbers that are none: `NLLLoss` on the outputs of a linear layer or of a plain
softmax, which are no logarithms; `BCELoss` or a cross-entropy written by hand on outputs that no sigmoid or softmax
keeps between 0 and 1.

## Why it hurts
The negative log-likelihood of scores has no lowest value: it falls for ever as all scores grow, and the network learns
how to make them large, not which is the largest. Of plain probabilities it is flat where the network is wrong. A binary
cross-entropy of raw scores is not defined below 0 and above 1: torch's own raises an error, others give NaN, or clip
the scores, and then no gradient comes back from any that lie outside.

## How it is measured
The loss is called on numbers of our own to find out what it takes the outputs to be. The last layer is then driven far
both ways, which shows what the outputs can be whatever the weights become. The trial adds the normalisation that is
missing, from the same seeds.

## Remedy
Use the loss on logits, `CrossEntropyLoss` or `BCEWithLogitsLoss`, which normalises by itself and rounds less; or put
a `LogSoftmax(dim=1)` in front of `NLLLoss`, a `Sigmoid` in front of `BCELoss`.

## When to leave it
Scores that a loss of your own normalises are right. So is a sigmoid in front of a loss on probabilities.

## References
PyTorch, `torch.nn.NLLLoss` and `torch.nn.BCELoss`, documentation (the input must be log-probabilities, probabilities).
Goodfellow, Bengio & Courville, "Deep Learning", 2016, section 6.2.2 (outputs and their likelihoods).
Wardat et al., "DeepLocalize: fault localization for deep neural networks", ICSE 2021 (missing last activation).
"""

from __future__ import annotations

from typing import Any, Final

from torch import Tensor, nn
from torch.nn import functional

from unstuck.edits.activations import append_final_activation, drop_final_activation
from unstuck.edits.losses import binary_cross_entropy, cross_entropy_of_chances, given_loss, on_logits, with_outputs_as
from unstuck.errors import RemedyError
from unstuck.measure.first_batch import FirstBatch
from unstuck.measure.layout import Layout
from unstuck.measure.loss_form import OutputForm
from unstuck.measure.output_reach import OutputReach
from unstuck.measure.preparation import Prepared
from unstuck.measure.protocol import Unmeasured
from unstuck.measure.task import Kind, Task
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
SOFTMAX: Final = "softmax"


def judge(task: Task, reach: OutputReach, layout: Layout, first: FirstBatch | Unmeasured) -> Verdict:
    """Suspect a loss on probabilities or their logarithms whose outputs are not kept to be such."""
    low = Evidence(Quantity("smallest output, the last layer driven far both ways", reach.low), ROUNDING)
    high = Evidence(Quantity("largest output, the last layer driven far both ways", reach.high), ROUNDING)
    bounds, form = (low, high), task.output_form
    reaching = f"outputs reach from {reach.low:.3g} to {reach.high:.3g}"
    if form is OutputForm.CLASS_LOG_PROBABILITIES:
        if reach.logarithms:
            sentence = "The exponentials of every sample's outputs sum to 1: they are log-probabilities."
            return Verdict(Outcome.ABSENT, sentence, bounds)
        if SOFTMAX in layout.last_operation and not reach.sums_to_one:
            return Verdict(Outcome.ABSENT, "The outputs are normalised, though over another axis.", bounds)
        kind = "probabilities, not their logarithms" if reach.sums_to_one else f"no logarithms of any: {reaching}"
        sentence = f"The loss takes log-probabilities, and the outputs are {kind}."
        return Verdict(Outcome.PRESENT, sentence, bounds)
    if form not in (OutputForm.PROBABILITIES, OutputForm.CLASS_PROBABILITIES):
        return Verdict(Outcome.ABSENT, f"The loss takes {form.value}, no probabilities ({task.loss_name}).", bounds)
    within = reach.low >= -ROUNDING.value and reach.high <= 1.0 + ROUNDING.value
    one = form is OutputForm.PROBABILITIES  # a probability each, for which another activation is the wrong one: SET004
    if layout.final_activation is not None and (one or within):
        sentence = f"The {layout.last_operation} is there to make probabilities of the outputs; {reaching}."
        return Verdict(Outcome.ABSENT, sentence, bounds)
    if within:
        return Verdict(Outcome.ABSENT, f"The {reaching}: they can be probabilities.", bounds)
    refused = isinstance(first, Unmeasured)
    then = ", and refuses them" if refused else ""
    sentence = (
        f"The loss takes {form.value}{then}: no activation keeps the outputs between 0 and 1, and the {reaching}."
    )
    return Verdict(Outcome.PRESENT, sentence, bounds, certain=refused)


def forget_normalisation(setup: Setup) -> Setup:
    """Put a loss on probabilities behind outputs that are raw scores."""
    task = Task.measure(setup)
    given_loss(setup)
    bare = Layout.measure(Prepared.measure(setup)).final_activation is None
    if task.output_form is OutputForm.CLASS_LOGITS and task.kind is Kind.CLASSES and bare:
        if task.one_hot or task.class_dimension != 1:
            raise RemedyError("the targets must be class numbers, and the classes dimension 1 of the outputs")
        return setup.with_loss(functional.nll_loss, "nll_loss")
    if task.output_form is OutputForm.BINARY_LOGITS and task.kind is Kind.BINARY and bare:
        return setup.with_loss(cross_entropy_of_chances, "binary cross-entropy of probabilities")
    if task.output_form is OutputForm.PROBABILITIES and task.kind is Kind.BINARY and not bare:
        dropped = drop_final_activation(setup)
        return dropped.with_loss(cross_entropy_of_chances, "binary cross-entropy of probabilities")
    raise RemedyError(
        f"the loss must be a cross-entropy on classes or on yes and no; it takes {task.output_form.value}"
    )


def normalise_outputs(setup: Setup, task: Task) -> Setup | tuple[Setup, ...]:
    """Give the loss the probabilities, or their logarithms, that it takes; or the loss the scores that it can take."""
    if task.output_form is OutputForm.PROBABILITIES:
        name = "binary_cross_entropy_with_logits"
        on_scores = with_outputs_as(setup, binary_cross_entropy, name, OutputForm.BINARY_LOGITS.value)
        return append_final_activation(setup, nn.Sigmoid()), on_scores
    if task.output_form is OutputForm.CLASS_PROBABILITIES:
        bare = on_logits(setup)
        return tuple(
            append_final_activation(each, nn.Softmax(dim=1)) for each in ((setup,) if bare is setup else (setup, bare))
        )
    loss = given_loss(setup)

    def normalised(outputs: Tensor, targets: Any) -> Tensor:
        return loss(outputs.log_softmax(1), targets)

    # A likelihood of scores has no lowest value, so it is no yardstick: the loss counts as another one.
    return on_logits(setup).with_loss(normalised, f"{setup.described.get('loss', 'loss')} of log_softmax(outputs)")


def _yes(labels: Tensor) -> Tensor:
    return (labels > 0).float().unsqueeze(1)


RULE = Rule(
    code="SET003",
    judge=judge,
    fault=forget_normalisation,
    remedy=Remedy(
        "Add the normalisation that the loss expects, or use the loss on logits.", normalise_outputs, Applies.SAFE
    ),
    cases=(
        Case("three classes as raw scores into NLLLoss", lambda: classification(loss=nn.NLLLoss()), Outcome.PRESENT),
        Case(
            "yes or no from a linear layer into a binary cross-entropy of probabilities",
            lambda: classification(lambda: perceptron(4, 24, 1), loss=cross_entropy_of_chances, targets=_yes),
            Outcome.PRESENT,
        ),
        Case(
            "three classes through a log-softmax into NLLLoss",
            lambda: classification(lambda: perceptron(4, 24, 3, last=nn.LogSoftmax(dim=1)), loss=nn.NLLLoss()),
            Outcome.ABSENT,
        ),
        Case("three classes as raw scores into a cross-entropy", classification, Outcome.ABSENT),
        Case(
            "near miss: a softmax in front of a loss that takes the logarithm itself",
            lambda: classification(
                lambda: perceptron(4, 24, 3, last=nn.Softmax(dim=1)),
                loss=lambda outputs, labels: functional.nll_loss((outputs + 1e-8).log(), labels),
            ),
            Outcome.ABSENT,
        ),
        Case(
            "near miss: a sigmoid in front of a binary cross-entropy",
            lambda: classification(lambda: perceptron(4, 24, 1, last=nn.Sigmoid()), loss=nn.BCELoss(), targets=_yes),
            Outcome.ABSENT,
        ),
    ),
    explained_by=("SET012",),
)
