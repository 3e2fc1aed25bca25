"""The last activation cannot give what the targets and the loss ask for.

## What it checks
Whether the outputs can take the values that make the loss small, whatever the weights become: a sigmoid or tanh in
front of targets in the hundreds, a ReLU in front of negative targets or of logits, a softmax over a single unit
(which is always 1), a tanh in front of a cross-entropy or of a loss on probabilities. Likewise whether outputs that are
each squashed by themselves stand for shares of a whole, which add up to 1.

## Why it hurts
No optimizer, rate or size of network helps: the loss has a floor that the last activation sets. Where the activation
is flat as well, as a ReLU below 0 and a saturated sigmoid are, no gradient comes back from the samples that are
most wrong. Shares that are each squashed by themselves can all go to 0 together, and stay there.

## How it is measured
The parameters of the last layer are driven far both ways, and what comes out behind it shows the outputs' reach, also
where the activation is a function, or scaled. Of all outputs within reach, those closest to the targets give the
floor of the loss; it is held against the best constant prediction and the lowest loss without that limit. The
trial trains with the activation that fits, from the same seeds.

## Remedy
Choose the last activation by the loss: none for squared and absolute errors and for losses on logits
(`CrossEntropyLoss`, `BCEWithLogitsLoss`), a sigmoid for `BCELoss`, a log-softmax for `NLLLoss`, a softmax for shares
of a whole. Where targets have natural bounds, a scaled sigmoid keeps within them.

## When to leave it
An activation whose range is that of the targets, such as a sigmoid for shares or a softplus for counts, is right,
and is not reported. Neither is a probability in front of a loss that takes logits: that is a fault of its own,
`probabilities-into-logits-loss`.

## References
Goodfellow, Bengio & Courville, "Deep Learning", 2016, section 6.2.2 (output units by distribution and loss).
Bridle, "Probabilistic interpretation of feedforward classification network outputs", 1990 (softmax for shares).
Bishop, "Pattern Recognition and Machine Learning", 2006, section 5.2 (pairs of output activation and error).
Wardat et al., "DeepLocalize: fault localization for deep neural networks", ICSE 2021 (the most frequent fault).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn

from unstuck.edits.activations import append_final_activation, drop_final_activation, replace_final_activation
from unstuck.errors import RemedyError
from unstuck.measure.best_constant import BestConstant
from unstuck.measure.comparison import LARGE
from unstuck.measure.first_batch import FirstBatch
from unstuck.measure.layout import Layout
from unstuck.measure.loss_form import OutputForm
from unstuck.measure.output_reach import OutputReach
from unstuck.measure.preparation import Prepared
from unstuck.measure.protocol import Unmeasured
from unstuck.measure.task import Kind, Task
from unstuck.patients import adam, classification, perceptron, regression
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup

OUT_OF_REACH: Final = Threshold(
    LARGE.value,
    "share of the span from the best constant to the lowest loss",
    "what the guide counts as large (bench/healthy)",
)
STUCK: Final = Threshold(
    0.5, "share of the outputs at initialisation", "majority: more outputs than not pass no gradient back"
)
ROUNDING: Final = 1e-4
LOGITS: Final = (OutputForm.CLASS_LOGITS, OutputForm.BINARY_LOGITS)


def judge(
    task: Task, reach: OutputReach, layout: Layout, first: FirstBatch, constant: BestConstant | Unmeasured
) -> Verdict:
    """Suspect where the lowest loss lies beyond what the outputs can be, or most of them are stuck on a bound."""
    last = layout.last_operation or "last layer"
    span = math.nan if isinstance(constant, Unmeasured) else constant.training_loss - reach.ideal
    share = (reach.floor - reach.ideal) / span if span > 0.0 else math.nan
    low, high = Quantity("smallest output within reach", reach.low), Quantity("largest output within reach", reach.high)
    bounds = (Evidence(low), Evidence(high))
    missing = Evidence(Quantity("share of the span that outputs within reach cannot close", share), OUT_OF_REACH)
    stuck = Evidence(Quantity("share of outputs at initialisation that lie on a bound", reach.stuck_share), STUCK)
    where = _where(layout)
    if reach.constant:
        sentence = f"The {last} gives {reach.low:g} for every sample, whatever the weights are."
        return Verdict(Outcome.PRESENT, sentence, (*bounds, missing), where, certain=True)
    if task.output_form in LOGITS and (
        reach.sums_to_one or (last == "sigmoid" and reach.low >= -ROUNDING and reach.high <= 1.0 + ROUNDING)
    ):
        return Verdict(Outcome.ABSENT, "The outputs are probabilities; the loss, not their range, is at odds.", bounds)
    if share >= OUT_OF_REACH.value:
        sentence = (
            f"The {last} lets outputs reach from {reach.low:.3g} to {reach.high:.3g}; targets lie between "
            f"{first.target_low:.3g} and {first.target_high:.3g}, and {min(share, 1.0):.0%} of what the loss could "
            "fall by is out of reach."
        )
        return Verdict(Outcome.PRESENT, sentence, (missing, *bounds), where)
    flat = reach.stuck_share > 0.0 and layout.final_activation is not None
    if flat and task.output_form in LOGITS:
        sentence = (
            f"The loss takes logits of either sign, and the {last} cuts them off at {reach.low:.3g}: "
            f"{reach.stuck_share:.0%} of the outputs pass no gradient back at initialisation."
        )
        return Verdict(Outcome.PRESENT, sentence, (stuck, missing, *bounds), where)
    if layout.final_activation is not None and reach.stuck_share >= STUCK.value:
        sentence = f"The {last} holds {reach.stuck_share:.0%} of the outputs on a bound, where no gradient passes."
        return Verdict(Outcome.PRESENT, sentence, (stuck, missing, *bounds), where)
    beyond = reach.low < -ROUNDING or reach.high > 1.0 + ROUNDING
    if task.output_form is OutputForm.PROBABILITIES and beyond and layout.final_activation is not None:
        sentence = f"The loss takes probabilities, and the {last} gives from {reach.low:.3g} to {reach.high:.3g}."
        return Verdict(Outcome.PRESENT, sentence, (*bounds, missing), where)
    if _are_shares(reach, task) and layout.final_activation is not None:
        off = max(abs(reach.sum_low - 1.0), abs(reach.sum_high - 1.0))
        sums = Evidence(Quantity("largest distance of a sample's sum of outputs from 1", off))
        sentence = f"Each sample's targets are shares that add up to 1; the {last} squashes each output by itself."
        return Verdict(Outcome.PRESENT, sentence, (sums, *bounds), where)
    if math.isnan(share) and layout.final_activation is not None:
        return Verdict(Outcome.UNDECIDED, "The lowest loss that the outputs allow could not be found.", bounds, where)
    sentence = f"Outputs reach from {reach.low:.3g} to {reach.high:.3g}, which the targets and the loss fit into."
    if reach.missed > 0.0:
        sentence = (
            f"Outputs reach from {reach.low:.3g} to {reach.high:.3g}, as the {task.loss_name} asks; the "
            f"{reach.missed:.0%} of the targets that lie beyond are at odds with the loss itself."
        )
    return Verdict(Outcome.ABSENT, sentence, (missing, *bounds))


def _are_shares(reach: OutputReach, task: Task) -> bool:
    """Whether numbers are to be predicted that add up to 1, as the outputs need not."""
    return reach.shares and not reach.sums_to_one and task.output_form is OutputForm.VALUES


def _where(layout: Layout) -> tuple[str, ...]:
    last = layout.final_activation
    return () if last is None else (last.layer or last.function or last.operation,)


def squash_outputs(setup: Setup) -> Setup:
    """Put an activation behind the outputs that cannot give what the loss asks for."""
    prepared = Prepared.measure(setup)
    task = Task.measure(setup)
    first = FirstBatch.measure(prepared, task)
    if Layout.measure(prepared).final_activation is not None:
        raise RemedyError("the outputs must come from the last layer itself; there is an activation behind it")
    if task.output_form is OutputForm.VALUES and task.kind is Kind.VALUES:
        if first.target_low < 0.0 < first.target_high:
            return append_final_activation(setup, nn.ReLU())
        if first.target_high > 1.0:
            return append_final_activation(setup, nn.Sigmoid())
        raise RemedyError("targets from 0 to 1 are within reach of the usual activations")
    if task.output_form is OutputForm.BINARY_LOGITS and first.output_shape[1:] == (1,):
        return append_final_activation(setup, nn.Softmax(dim=1))
    if task.output_form in LOGITS:
        return append_final_activation(setup, nn.Tanh())
    raise RemedyError(f"a loss on {task.output_form.value} has no activation that is plainly wrong for it")


def fit_last_activation(setup: Setup, task: Task, reach: OutputReach) -> tuple[Setup, ...]:
    """The activation that fits the loss, or those that may where the loss is not a textbook one."""
    made, reasons = [], []
    for activation in (_shared,) if _are_shares(reach, task) else _fitting(task):
        try:
            made.append(_with_last(setup, activation))
        except RemedyError as error:
            reasons.append(str(error))
    if not made:
        raise RemedyError("; ".join(dict.fromkeys(reasons)))
    return tuple(made)


def _fitting(task: Task) -> tuple[Callable[[], nn.Module] | None, ...]:
    """Last activations by the form that the loss takes; None for none."""
    if task.output_form is OutputForm.PROBABILITIES:
        return (nn.Sigmoid,)
    if task.output_form is OutputForm.CLASS_LOG_PROBABILITIES:
        return (lambda: nn.LogSoftmax(dim=1),)
    if task.output_form is OutputForm.CLASS_PROBABILITIES:
        return (_shared,)
    if task.output_form is OutputForm.UNKNOWN and task.kind is Kind.CLASSES:
        return (_shared, None, lambda: nn.LogSoftmax(dim=1))
    if task.output_form is OutputForm.UNKNOWN and task.kind in (Kind.BINARY, Kind.LABELS):
        return (nn.Sigmoid, None)
    if task.output_form is OutputForm.VALUES and task.kind is not Kind.VALUES:
        return (None, nn.Sigmoid)
    return (None,)


def _shared() -> nn.Module:
    return nn.Softmax(dim=1)


def _with_last(setup: Setup, activation: Callable[[], nn.Module] | None) -> Setup:
    if activation is None:
        return drop_final_activation(setup)
    try:
        return replace_final_activation(setup, activation())
    except RemedyError:
        return append_final_activation(drop_final_activation(setup), activation())


def _shares_of_eight(values: Tensor) -> Tensor:
    return (-6.0 * (values - torch.linspace(-2.0, 2.0, 8)).square()).softmax(1)


def _sharing(last: nn.Module) -> Setup:
    return regression(
        lambda: perceptron(3, 24, 8, last=last), loss=nn.L1Loss(), targets=_shares_of_eight, optimizer=adam(0.03)
    )


class _Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, values: Tensor) -> Tensor:
        return self.factor * values


def _yes(labels: Tensor) -> Tensor:
    return (labels > 0).float().unsqueeze(1)


RULE = Rule(
    code="SET004",
    judge=judge,
    fault=squash_outputs,
    remedy=Remedy("Give the last layer the activation that fits targets and loss.", fit_last_activation, Applies.SAFE),
    cases=(
        Case(
            "targets of both signs behind a ReLU",
            lambda: regression(lambda: perceptron(3, 24, 1, last=nn.ReLU())),
            Outcome.PRESENT,
        ),
        Case(
            "yes or no from a softmax over a single unit",
            lambda: classification(
                lambda: perceptron(4, 24, 1, last=nn.Softmax(dim=1)), loss=nn.BCELoss(), targets=_yes
            ),
            Outcome.PRESENT,
        ),
        Case(
            "eight shares of a whole, each through a sigmoid of its own, under an absolute error",
            lambda: _sharing(nn.Sigmoid()),
            Outcome.PRESENT,
        ),
        Case("targets of both signs from a linear layer", regression, Outcome.ABSENT),
        Case("near miss: the same shares from a softmax", lambda: _sharing(nn.Softmax(dim=1)), Outcome.ABSENT),
        Case(
            "near miss: a sigmoid for targets that are shares",
            lambda: regression(
                lambda: perceptron(3, 24, 1, last=nn.Sigmoid()), targets=lambda values: values.sigmoid()
            ),
            Outcome.ABSENT,
        ),
        Case(
            "near miss: a tanh, scaled by ten, for targets between minus four and four",
            lambda: regression(lambda: nn.Sequential(perceptron(3, 24, 1, last=nn.Tanh()), _Times(10.0))),
            Outcome.ABSENT,
        ),
        Case(
            "near miss: a sigmoid in front of a loss on probabilities",
            lambda: classification(lambda: perceptron(4, 24, 1, last=nn.Sigmoid()), loss=nn.BCELoss(), targets=_yes),
            Outcome.ABSENT,
        ),
    ),
    explained_by=("SET002", "DAT003"),
)
