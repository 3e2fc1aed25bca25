"""The loss is a sum over the batch, so that a step grows with the number of samples in it.

## What it checks
Whether the loss doubles when every sample of a batch is there twice: `reduction="sum"`, or a sum in a loss written by
hand, at a learning rate that suits a mean.

## Why it hurts
The gradient is as many times larger as there are samples in a batch, and so is every step: a rate that is sound for
a mean is 32 or 256 times too high. The run oscillates or diverges, weight decay is as many times too weak, and each
change of the batch size, the smaller last batch included, changes the steps. Adam, which divides each step by the
gradient's size, hardly notices.

## How it is measured
The gradient of the loss with respect to the outputs is taken on some samples, and again on each of them twice: for a
mean, each sample then pulls half as much, for a sum as much as before. The trial divides the loss by the number of
samples, at the same rate and from the same seeds.

## Remedy
`reduction="mean"`, or `loss / len(batch)`. Dividing the rate by the batch size does the same for plain SGD.

## When to leave it
A sum at a rate that was chosen for it trains well, and the comparison clears it. So does an optimizer that does not
depend on the gradient's scale.

## References
PyTorch, `torch.nn.MSELoss`, documentation (`reduction`).
Goyal et al., "Accurate, large minibatch SGD", 2017, section 2 and the pitfalls of 3 (normalise by the batch's size).
Bottou, Curtis & Nocedal, "Optimization methods for large-scale machine learning", SIAM Review 2018 (the stable rate).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from torch import Tensor, nn

from unstuck.edits.losses import given_loss, require_scaled_steps
from unstuck.measure.loss_growth import LossGrowth
from unstuck.patients import classification, regression, sgd
from unstuck.quantity import Quantity, Threshold, roughly
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup
from unstuck.setup.batch import length

SUM: Final = Threshold(
    0.5,
    "power of the number of samples",
    "half way between a mean, of which the power is 0, and a sum, of which it is 1; both come out to within rounding",
)


def judge(growth: LossGrowth) -> Verdict:
    """Suspect where the gradient of a batch grows with the number of its samples."""
    name = "power of the number of samples by which the gradient of a batch grows"
    power = Evidence(Quantity(name, growth.exponent), SUM)
    size = Evidence(Quantity("samples per batch", float(growth.batch_size)))
    if growth.exponent >= SUM.value:
        times = roughly(2.0 ** min(growth.exponent, 10.0))
        sentence = (
            f"The gradient grows {times} times when a batch of {growth.batch_size} samples is doubled: the loss "
            "is a sum over samples."
        )
        return Verdict(Outcome.PRESENT, sentence, (power, size))
    if growth.exponent < SUM.value:
        return Verdict(Outcome.ABSENT, "The loss is a mean: doubling the batch changes nothing.", (power, size))
    return Verdict(Outcome.UNDECIDED, "The loss has no gradient at the outputs as they start.", (power, size))


def sum_over_batch(setup: Setup) -> Setup:
    """Sum the loss over the samples of a batch, at the same rate."""
    loss = given_loss(setup)
    require_scaled_steps(setup)
    return setup.with_loss(_Scaled(loss, 1.0), f"{setup.described.get('loss', 'loss')}, summed over the batch")


def mean_over_batch(setup: Setup) -> Setup:
    """Divide the loss by the number of samples, at the same rate."""
    loss = given_loss(setup)
    name = f"{setup.described.get('loss', 'loss')} / number of samples"
    changed = setup.with_loss(_Scaled(loss, -1.0), name)
    # The outputs mean the same as before, so the loss as given judges them as they are.
    return replace(changed, described={**changed.described, "loss_units": "same"})


class _Scaled:
    """A loss times a power of the number of samples."""

    def __init__(self, loss: Any, power: float) -> None:
        self.loss, self.power = loss, power

    def __call__(self, outputs: Any, targets: Any) -> Tensor:
        scaled: Tensor = self.loss(outputs, targets) * float(max(1, length(targets))) ** self.power
        return scaled


RULE = Rule(
    code="SET016",
    judge=judge,
    fault=sum_over_batch,
    remedy=Remedy("Take the mean over the batch, not the sum, at the same rate.", mean_over_batch, Applies.SAFE),
    cases=(
        Case(
            "a cross-entropy summed over batches of 32, SGD at a rate for a mean",
            lambda: classification(loss=nn.CrossEntropyLoss(reduction="sum"), optimizer=sgd(0.2, 0.9), batch_size=32),
            Outcome.PRESENT,
        ),
        Case("a mean over the batch", lambda: classification(optimizer=sgd(0.2, 0.9)), Outcome.ABSENT),
        Case(
            "near miss: a sum, and a rate that was divided by the batch size",
            lambda: classification(loss=nn.CrossEntropyLoss(reduction="sum"), optimizer=sgd(0.2 / 32, 0.9), epochs=40),
            Outcome.ABSENT,
        ),
        Case(
            "near miss: a sum under Adam, which does not mind",
            lambda: regression(loss=nn.MSELoss(reduction="sum")),
            Outcome.ABSENT,
        ),
    ),
)
