"""A softmax sums to 1 over the wrong axis: over the samples of a batch, over time, or over a single entry.

## What it checks
Every call of `softmax` and `log_softmax` in the network: whether the axis that it sums to 1 over is that of the
samples (`dim=0`), one of a single entry, or, at the outputs, another one than that of the classes.

## Why it hurts
A softmax over samples makes them compete: the probability of one depends on which others chance has put into the batch,
and those of one sample need not sum to 1, so that the loss can be lowered without telling classes apart. Over a
single entry it is always 1, and no gradient passes. Both run without an error, and `nn.Softmax()` without an axis
chooses 0 for inputs of three dimensions.

## How it is measured
The untrained network runs on two batches of different size: the axis whose size differs is that of the samples. The
trial gives the call another axis, from the same seeds.

## Remedy
`dim=1` for scores `[N, C]` and `[N, C, …]`, `dim=-1` where classes or keys come last. Always name the axis.

## When to leave it
A softmax over places or channels, as in attention and in spatial pooling, is right. One over samples may be meant in
contrastive losses; where such a network trains well, the comparison clears it.

## References
PyTorch, `torch.nn.Softmax`, documentation (implicit choice of the dimension is deprecated).
Vaswani et al., "Attention is all you need", NeurIPS 2017 (the softmax is over the keys).
Humbatova et al., "Taxonomy of real faults in deep learning systems", ICSE 2020 (wrong tensor axis).
"""

from __future__ import annotations

from functools import partial
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from unstuck.edits.activations import append_final_activation
from unstuck.edits.calls import SOFTMAXES, with_calls_answered
from unstuck.edits.losses import given_loss
from unstuck.errors import RemedyError
from unstuck.measure.layout import Layout
from unstuck.measure.loss_form import OutputForm
from unstuck.measure.preparation import Prepared
from unstuck.measure.softmax_axes import SoftmaxAxes
from unstuck.measure.task import Kind, Task
from unstuck.patients import classification, perceptron, shells
from unstuck.quantity import Quantity
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup

PLAIN: Final = {"softmax": torch.softmax, "log_softmax": torch.log_softmax}


def judge(softmaxes: SoftmaxAxes) -> Verdict:
    """Suspect a softmax over samples, over a single entry, or at the outputs over another axis than the classes'."""
    count = Evidence(Quantity("calls of a softmax", float(len(softmaxes.axes))))
    wrong = [axis for axis in softmaxes.axes if axis.is_wrong]
    if softmaxes.misplaced_output and softmaxes.axes and softmaxes.axes[-1] not in wrong:
        wrong.append(softmaxes.axes[-1])
    number = Evidence(Quantity("calls of a softmax over an axis that cannot be meant", float(len(wrong))))
    if not softmaxes.axes:
        return Verdict(Outcome.ABSENT, "The network calls no softmax.", (count,))
    if not wrong:
        sentence = "No softmax is over samples, over a single entry, or over another axis than the classes'."
        return Verdict(Outcome.ABSENT, sentence, (number, count))
    first = wrong[0]
    over = "the samples" if first.over_samples else "a single entry" if first.over_one else "no axis of classes"
    shape = "[" + ", ".join(map(str, first.call.shape)) + "]"
    sentence = f"The {first.call.name} of a tensor {shape} is over its axis {first.call.axis}: over {over}."
    return Verdict(Outcome.PRESENT, sentence, (number, count))


def turn_softmax(setup: Setup) -> Setup:
    """Take the logarithm of a softmax over the samples in front of a negative log-likelihood."""
    task = Task.measure(setup)
    given_loss(setup)
    bare = Layout.measure(Prepared.measure(setup)).final_activation is None
    usual = task.kind is Kind.CLASSES and task.output_form is OutputForm.CLASS_LOGITS and not task.one_hot
    if not usual or not bare or len(task.output_shape) != 2:
        raise RemedyError("the outputs must be logits `[N, C]`, and the targets class numbers")
    return append_final_activation(setup, nn.LogSoftmax(dim=0)).with_loss(functional.nll_loss, "nll_loss")


def turn_back(setup: Setup, softmaxes: SoftmaxAxes) -> tuple[Setup, ...]:
    """Every softmax over a wrong axis over one that fits: the last, then others."""
    wrong = [axis for axis in softmaxes.axes if axis.is_wrong]
    if not wrong and softmaxes.misplaced_output:
        wrong = [softmaxes.axes[-1]]
    if not wrong:
        raise RemedyError("there is no softmax whose axis could be changed")
    made = []
    for choice in range(max(len(axis.fitting) for axis in wrong)):
        changed = setup
        for axis in wrong:
            fitting = axis.fitting[min(choice, len(axis.fitting) - 1)]
            words = f"{axis.call.name} over axis {axis.call.axis}", f"over axis {fitting}"
            answer = partial(_over, axis.call.name, fitting)
            changed = with_calls_answered(changed, SOFTMAXES, [axis.call], answer, words)
        made.append(changed)
    return tuple(made)


def _over(name: str, axis: int, given: Tensor) -> Tensor:
    return PLAIN[name](given, axis)


class _Attention(nn.Module):
    """Weights every feature by a softmax of scores `[N, F, 1]`, along an axis."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis
        self.values, self.score, self.head = nn.Linear(1, 16), nn.Linear(16, 1), perceptron(16, 16, 3)

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.values((features + torch.arange(4.0)).unsqueeze(2)).relu()
        weights = self.score(hidden).softmax(self.axis)
        scores: Tensor = self.head((weights * hidden).sum(1))
        return scores


def _to_log_softmax(axis: int) -> Setup:
    return shells(lambda: perceptron(4, 32, 32, 3, last=nn.LogSoftmax(dim=axis)), loss=nn.NLLLoss())


RULE = Rule(
    code="SET012",
    judge=judge,
    fault=turn_softmax,
    remedy=Remedy("Take the softmax over the axis of the classes, or of the keys.", turn_back, Applies.SAFE),
    cases=(
        Case("a log-softmax over the samples in front of NLLLoss", lambda: _to_log_softmax(0), Outcome.PRESENT),
        Case("a log-softmax over the classes", lambda: _to_log_softmax(1), Outcome.ABSENT),
        Case("a network without any softmax", classification, Outcome.ABSENT),
        Case(
            "near miss: attention weights over places, not over the last axis",
            lambda: classification(lambda: _Attention(1)),
            Outcome.ABSENT,
        ),
    ),
)
