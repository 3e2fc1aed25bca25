"""An operation of the program gives NaN or infinity on ordinary numbers.

## What it checks
Where the first number that is NaN or infinite arose: the step, the module and the operation, in the forward pass, the
loss, the backward pass or the optimizer. The operation is blamed only if what it was given was of ordinary size: the
logarithm of zero, a division by zero, the square root of what rounding has made negative, the derivative of a square
root or a fractional power at zero, the exponential of a hundred, or half precision that ends at 65,504.

## Why it hurts
NaN spreads. One sample with one such number makes the mean of the loss NaN, its gradient makes every weight NaN, and
nothing is learnt from then on. The derivative may be infinite where the value is not: the square root of zero is zero,
and `torch.where` hides a branch from the result but not from the backward pass, where zero times infinity is NaN.

## How it is measured
Only where the run ended so. The recorded steps are taken again from the same seed, and every operation of the last
two is looked at as it runs, on the way forward and on the way back: what makes NaN or infinity of finite numbers and
reaches the loss or the weights is where it began. If the numbers had grown before (inputs of the operation whose
products overflow, or weights ten times as large as at the start), the training diverged, and this operation is only
where it showed. The suspicion is tested by keeping the operation within the bounds where it is finite, everywhere else
its value unchanged; then all operations of that kind; and by single precision.

## Remedy
Keep what goes into the operation away from where it breaks: `log(x.clamp_min(eps))`, `sqrt(x.clamp_min(eps))`, a
denominator that is never zero, both branches of `torch.where` made safe. Better still, use the function of the
library that is safe as it is: `cross_entropy` on raw scores in place of `log(softmax(x))`, `logsumexp`, `layer_norm`,
`cdist`, and `float32` where half precision overflows.

## When to leave it
A loss scaler for half precision meets an infinite gradient now and then and leaves that step out; the run goes on, and
is not reported. Where the rate, the scale of the inputs or exploding gradients drove the numbers up first, mend those.

## References
D. Goldberg, "What every computer scientist should know about floating-point arithmetic", 1991.
P. Micikevicius et al., "Mixed precision training", 2018 (the range of half precision).
PyTorch documentation, "Autograd mechanics: gradients for non-differentiable functions" and `torch.where`.
Y. Zhang et al., "Detecting numerical bugs in neural network architectures", 2020 (which operations break, and where).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from unstuck import patients
from unstuck.edits.activations import replace_activations
from unstuck.edits.guarding import GUARDED, guarded, in_single_precision, spellings, with_sound_eps
from unstuck.errors import RemedyError
from unstuck.measure.numerical_failure import GROWN, NumericalFailure
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup

OVERFLOWING: Final = Threshold(
    1.0,
    "the fourth root of the largest number of that type",
    "from there on products of a few such numbers overflow (IEEE 754); an operation that takes them is not to blame",
)

HALF: Final = frozenset({"float16", "bfloat16"})

STAGES: Final = ("forward", "loss", "backward", "optimizer")


def judge(failure: NumericalFailure) -> Verdict:
    """Suspect an operation that broke on numbers of ordinary size."""
    if not failure.happened:
        return Verdict(Outcome.ABSENT, f"Loss and weights stayed finite in all {failure.steps} steps.")
    reach = failure.largest / failure.bound if failure.bound > 0.0 else math.nan
    taken = Quantity("largest number that the operation took", reach, OVERFLOWING.unit)
    growth = Quantity("norm of the weights / norm at the start", failure.growth, GROWN.unit)
    step = Evidence(Quantity("step in which it began", float(failure.step), "steps"))
    evidence = (step, Evidence(taken, OVERFLOWING), Evidence(growth, GROWN))
    if failure.stage == "data":
        sentence = "The NaN came in with the data; no operation made it."
        return Verdict(Outcome.ABSENT, sentence, evidence)
    if failure.stage not in STAGES:
        sentence = f"The loss ended in no finite number after {failure.steps} steps; where it began was not seen."
        return Verdict(Outcome.UNDECIDED, sentence, evidence)
    where = _where(failure)
    if failure.began_there or failure.dtype in HALF:
        sentence = f"In step {failure.step}, {where} gave {failure.made} on ordinary numbers."
        if failure.dtype in HALF:
            sentence = f"In step {failure.step}, {where} gave {failure.made} in {failure.dtype}."
        return Verdict(Outcome.PRESENT, sentence, evidence, (failure.module,) if failure.module else ())
    grown = f"the weights had grown to {failure.growth:.3g} times their size"
    large = f"it was given numbers of up to {failure.largest:.1e}"
    sentence = f"In step {failure.step}, {where} gave {failure.made}, but {large if failure.is_overflow else grown}."
    return Verdict(Outcome.ABSENT, sentence, evidence)


def _where(failure: NumericalFailure) -> str:
    """Such as "the derivative of sqrt in the backward pass (module encoder.0, model.py:31)"."""
    operation = {
        "forward": f"{failure.operation} in the forward pass",
        "loss": f"{failure.operation} in the loss",
        "backward": f"the derivative of {failure.operation} in the backward pass",
        "optimizer": f"{failure.operation} in the step of the optimizer",
    }[failure.stage]
    detail = ", ".join(part for part in (f"module {failure.module}" if failure.module else "", failure.place) if part)
    return f"{operation} ({detail})" if detail else operation


class PowerUnit(nn.Module):
    """h to the power of 0.9 where h is above 0, else 0: written so that the derivative below 0 is NaN."""

    def forward(self, hidden: Tensor) -> Tensor:
        """Apply it, shape `[N, …]` to the same shape."""
        return torch.where(hidden > 0.0, hidden**0.9, torch.zeros_like(hidden))


def take_powers_of_negatives(setup: Setup) -> Setup:
    """Put in the place of hidden activations a power that `torch.where` hides below zero, but not from its gradient.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.
    """
    return replace_activations(setup, PowerUnit)


def keep_in_bounds(setup: Setup, failure: NumericalFailure) -> tuple[Setup, ...]:
    """The operation kept within bounds; all that can be; single precision; a sound `eps` of the optimizer.

    Args:
        setup: What is trained.
        failure: The operation that broke, and where.

    Returns:
        One set-up a change.

    Raises:
        RemedyError: If none of them applies.
    """
    if failure.stage == "optimizer":
        return (with_sound_eps(setup),)
    in_loss = failure.stage == "loss" or not failure.module
    found: list[Setup] = []
    changes: tuple[Callable[[], Setup], ...] = (
        lambda: guarded(setup, spellings(failure.operation), in_loss=in_loss),
        lambda: guarded(setup, GUARDED, in_loss=in_loss),
        lambda: in_single_precision(setup),
    )
    reason = ""
    for change in changes:
        try:
            found.append(change())
        except RemedyError as error:
            reason = str(error)
    if not found:
        raise RemedyError(reason)
    return tuple(found)


class _Lengths(nn.Module):
    """A network whose hidden units are divided by their length, drawn so that some samples have none."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 24), nn.Linear(24, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = torch.relu(self.first(inputs) - 0.8)
        scores: Tensor = self.last(hidden / hidden.square().sum(1, keepdim=True).sqrt())
        return scores


class _Sparse(nn.Module):
    """ReLU, weighted by a softmax over the units that are above zero."""

    def forward(self, hidden: Tensor) -> Tensor:
        masked = hidden.masked_fill(hidden < hidden.mean(1, keepdim=True), -math.inf)
        return torch.relu(hidden) * (1.0 + masked.softmax(1))


def _entropy_by_hand(outputs: Tensor, targets: Tensor) -> Tensor:
    chances = torch.softmax(40.0 * outputs, 1)
    wanted = functional.one_hot(targets, outputs.shape[1])
    return -(wanted * torch.log(chances)).sum(1).mean() / 40.0


RULE = Rule(
    code="OPT020",
    judge=judge,
    fault=take_powers_of_negatives,
    remedy=Remedy(
        "Keep what goes into the operation away from where it, or its derivative, is not finite.",
        keep_in_bounds,
        Applies.OPT_IN,
    ),
    cases=(
        Case(
            "hidden units divided by their length, which is zero for some samples",
            lambda: patients.classification(_Lengths),
            Outcome.PRESENT,
        ),
        Case(
            "a power hidden by torch.where below zero, whose gradient is NaN there",
            lambda: patients.shells(lambda: patients.perceptron(4, 32, 32, 3, activation=PowerUnit)),
            Outcome.PRESENT,
        ),
        Case(
            "the logarithm of chances that have underflowed to zero, in a cross-entropy written by hand",
            lambda: patients.classification(loss=_entropy_by_hand),
            Outcome.PRESENT,
        ),
        Case("a network and a loss without such operations", patients.classification, Outcome.ABSENT),
        Case(
            "a rate so high that the weights overflow: a divergence, wherever it shows",
            lambda: patients.regression(optimizer=patients.sgd(30.0)),
            Outcome.ABSENT,
        ),
        Case(
            "scores masked out by minus infinity before a softmax, as attention does",
            lambda: patients.classification(lambda: nn.Sequential(nn.Linear(4, 24), _Sparse(), nn.Linear(24, 3))),
            Outcome.ABSENT,
        ),
    ),
    is_cure_all=True,
    explained_by=("SET003", "DAT001", "DAT002", "DAT003", "OPT001", "OPT007", "OPT010"),
)
