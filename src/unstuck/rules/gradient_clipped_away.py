"""Nearly every gradient is clipped, to a small part of what it was.

## What it checks
Whether most optimizer steps, at the start of the run and at its end, get a gradient that was cut down to one and the
same size, and whether that size is a tenth or less of what even small gradients were before.

## Why it hurts
Clipping is meant for the rare gradient that is far too large. A threshold below all of them normalises every step to
the same tiny length: the rate is no longer what it says, batches with much to teach count no more than others, and
near a minimum the steps do not become smaller.

## How it is measured
The gradients that the backward passes give are noted as they arrive, and compared with what the optimizer gets, in
some steps from the first weights and some from the last. That needs no knowledge of which function clips, by norm or by
value. A common factor, as of loss scaling, leaves different sizes and is no clipping. The trial gives the optimizer the
gradients as they arrived, clipped at the ninetieth percentile of their norms.

## Remedy
Raise the threshold to the ninetieth percentile of the gradient norms of a run without clipping.

## When to leave it
Adam and its kin divide by the size of past gradients, so that a constant factor hardly matters to them; then nothing
is reported, and neither is it where the run is as good as it gets. Clipping of each sample's gradient for privacy is
another matter.

## References
R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural networks", 2013 (threshold at half
to ten times the average norm).
P. Seetharaman et al., "AutoClip: adaptive gradient clipping", 2020 (a percentile of the norms so far).
J. Zhang et al., "Why gradient clipping accelerates training", 2020.
"""

from __future__ import annotations

import math
from typing import Any, Final

from torch import Tensor, nn
from torch.nn import functional
from torch.optim import LBFGS, Optimizer

from unstuck import patients
from unstuck.edits.written_step import write_step
from unstuck.errors import RemedyError
from unstuck.loop.norms import norm
from unstuck.loop.stages import forward_backward
from unstuck.measure.clipping import Clipping
from unstuck.quantity import Quantity, Threshold, roughly
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup
from unstuck.setup.data import gather
from unstuck.setup.randomness import isolated

MOST: Final = Threshold(0.5, "share of the steps", "majority: clipping is meant for the exception (Pascanu 2013)")
FAR: Final = Threshold(
    0.1,
    "tenth percentile of the norms before clipping",
    "Pascanu 2013 has half to ten times the average norm; a tenth of the small ones is far below either",
)

FAULT: Final = 1e-3
"""Threshold of the fault, over the first gradient's norm; for optimizers that divide by past gradients, over what
they add to the divisor."""


def judge(clipping: Clipping) -> Verdict:
    """Suspect clipping of most steps at a threshold far below all gradients."""
    share = Evidence(Quantity("share of the steps whose gradient was clipped", clipping.clipped), MOST)
    ratio = clipping.threshold / clipping.low if clipping.low > 0.0 else math.nan
    depth = Evidence(Quantity("clipped norm / tenth percentile of the norms before", ratio, FAR.unit), FAR)
    high = Evidence(Quantity("ninetieth percentile of the norms before", clipping.high, "norm"))
    where = (clipping.line,) if clipping.line else ()
    if not clipping.clipped > 0.0:
        sentence = f"None of the gradients of {clipping.steps} steps was clipped."
        return Verdict(Outcome.ABSENT, sentence, (share, high))
    sentence = (
        f"{clipping.clipped:.0%} of the steps are clipped, to a norm of {roughly(clipping.threshold)}; "
        f"the tenth percentile of the norms before is {roughly(clipping.low)}."
    )
    much = clipping.clipped > MOST.value and ratio < FAR.value
    return Verdict(Outcome.PRESENT if much else Outcome.ABSENT, sentence, (share, depth, high), where)


def clip_away(setup: Setup) -> Setup:
    """Clip each gradient at a thousandth of the first one's norm, or less for optimizers that make up for it.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If its step is not the usual one, or has no gradient.
    """
    if setup.train_step is not None or setup.loss is None:
        raise RemedyError("the step must be the usual one, with a loss; this set-up brings its own")
    with isolated(setup.seed):
        model, optimizer = setup.build()
        forward_backward(setup, model, setup.placed(gather(setup.train.head(64))))
    first = norm([each.grad for each in model.parameters() if each.grad is not None])
    if not 0.0 < first < math.inf:
        raise RemedyError(f"the first gradient has a norm of {first:g}")
    added = [group["eps"] for group in optimizer.param_groups if "eps" in group]
    return write_step(setup, "zero_grad", "backward", "clip", "step", clip_norm=FAULT * min([first, *added]))


def clip_less(setup: Setup, clipping: Clipping) -> Setup:
    """Clip the gradients of the backward passes at the ninetieth percentile of their norms.

    Args:
        setup: What is trained.
        clipping: Tells the percentile.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If no percentile is known, or the backward pass is the optimizer's own affair.
    """
    if not 0.0 < clipping.high < math.inf:
        raise RemedyError("no gradient norm was seen that a threshold could be taken from")
    if isinstance(setup.build()[1], LBFGS):
        raise RemedyError("L-BFGS runs the backward pass in its own closure")
    return setup.corrected(clip_norm=clipping.high)


class _Clipping:
    """A step that clips at a norm."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def __call__(self, model: nn.Module, optimizer: Optimizer, batch: Any) -> Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(batch[0]), batch[1])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), self.threshold)
        optimizer.step()
        return loss


RULE = Rule(
    code="SET020",
    judge=judge,
    fault=clip_away,
    remedy=Remedy(
        "Raise the clipping threshold to the ninetieth percentile of the gradient norms.", clip_less, Applies.SAFE
    ),
    cases=(
        Case(
            "gradients clipped at a norm of 0.001 under plain SGD",
            lambda: patients.shells(optimizer=patients.sgd(0.1, 0.9), train_step=_Clipping(1e-3)),
            Outcome.PRESENT,
        ),
        Case(
            "a threshold above every gradient",
            lambda: patients.shells(optimizer=patients.sgd(0.1, 0.9), train_step=_Clipping(100.0)),
            Outcome.ABSENT,
        ),
        Case(
            "near miss: the same threshold under Adam, which makes up for it",
            lambda: patients.shells(train_step=_Clipping(1e-3)),
            Outcome.ABSENT,
        ),
        Case(
            "near miss: a threshold that cuts the largest gradients only",
            lambda: patients.shells(optimizer=patients.sgd(0.1, 0.9), train_step=_Clipping(0.5)),
            Outcome.ABSENT,
        ),
    ),
)
