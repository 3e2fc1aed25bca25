"""Each step uses the gradients of all earlier steps as well, since they are never cleared.

## What it checks
Whether the gradient that the optimizer uses still holds what it has used in the step before: a training step
without `optimizer.zero_grad()`, or with it between `backward()` and the next forward pass of another model.

## Why it hurts
Backward passes add to `.grad`. Without clearing it, each step follows the sum of all gradients so far: a momentum
of 1 that nothing damps. The weights swing past the minimum and back, further each time, and the loss falls at first,
then oscillates or diverges, whatever the rate.

## How it is measured
Some steps are taken with a ledger: all that the backward passes have given since the last optimizer step is added
up. What the gradient holds beyond that is old. A common factor, as from clipping, does not count, and neither do
several backward passes before one step. The trial clears gradients before every step.

## Remedy
Call `optimizer.zero_grad()` once for every `optimizer.step()`, before the first `backward()`.

## When to leave it
Adding up the gradients of k batches on purpose, with one step and one `zero_grad()` for all of them, is not
reported.

## References
PyTorch, "Zeroing out gradients in PyTorch", recipe (why gradients add up).
Zhang et al., "An empirical study on TensorFlow program bugs", ISSTA 2018, and Humbatova et al., "Taxonomy of real
faults in deep learning systems", ICSE 2020 (training process: missing gradient clearing).
Polyak, "Some methods of speeding up the convergence of iteration methods", 1964 (momentum must be below 1).
"""

from __future__ import annotations

import math
from typing import Any, Final

from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from unstuck.edits.written_step import write_step
from unstuck.measure.first_steps import FirstSteps
from unstuck.patients import classification, sgd
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup

OLD: Final = Threshold(
    1e-2,
    "share of the gradient's norm",
    "rounding leaves below 1e-5 in float32, 1e-3 in half precision (IEEE 754); uncleared gradients 0.3 and more",
)


def judge(first: FirstSteps) -> Verdict:
    """Suspect where every step after the first holds gradient that an earlier one has used."""
    later = first.stale_shares[1:]
    least = math.nan if any(map(math.isnan, later)) else min(later, default=math.nan)
    evidence = Evidence(Quantity("share of a step's gradient that an earlier step has used", least), OLD)
    counted = Evidence(Quantity("batches per optimizer step", first.calls / max(1, first.steps)))
    if least >= OLD.value:
        sentence = f"At least {least:.0%} of the gradient of each of the first steps had been used by the step before."
        return Verdict(Outcome.PRESENT, sentence, (evidence, counted))
    if least < OLD.value:
        sentence = f"The first {first.steps} optimizer steps used no gradient twice."
        return Verdict(Outcome.ABSENT, sentence, (evidence, counted))
    if first.steps < 2:
        sentence = f"Only one optimizer step was taken on {first.calls} batches: too few to tell."
        if first.steps == 0:
            sentence = f"No optimizer step was taken on {first.calls} batches: too few to tell."
        return Verdict(Outcome.UNDECIDED, sentence, (evidence, counted))
    return Verdict(Outcome.UNDECIDED, "The gradients of the first steps are no numbers.", (evidence, counted))


def forget_zero_grad(setup: Setup) -> Setup:
    """Take steps that never clear the gradients."""
    return write_step(setup, "backward", "step")


def clear_gradients(setup: Setup) -> Setup:
    """Clear gradients before every step."""
    return setup.corrected(clear_gradients=True)


def _forgetful(model: nn.Module, optimizer: Optimizer, batch: Any) -> Tensor:
    loss = functional.cross_entropy(model(batch[0]), batch[1])
    loss.backward()
    optimizer.step()
    return loss


def _clearing(model: nn.Module, optimizer: Optimizer, batch: Any) -> Tensor:
    optimizer.zero_grad()
    return _forgetful(model, optimizer, batch)


def _adding_up(model: nn.Module, optimizer: Optimizer, batch: Any) -> Tensor:
    """Two batches make one step."""
    loss = functional.cross_entropy(model(batch[0]), batch[1])
    (loss / 2).backward()
    group = optimizer.param_groups[0]
    group["batches"] = group.get("batches", 0) + 1
    if group["batches"] % 2 == 0:
        optimizer.step()
        optimizer.zero_grad()
    return loss


def _clipping(model: nn.Module, optimizer: Optimizer, batch: Any) -> Tensor:
    optimizer.zero_grad()
    loss = functional.cross_entropy(model(batch[0]), batch[1])
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    optimizer.step()
    return loss


RULE = Rule(
    code="SET006",
    judge=judge,
    fault=forget_zero_grad,
    remedy=Remedy("Clear the gradients once for every optimizer step.", clear_gradients, Applies.SAFE),
    cases=(
        Case(
            "a step without zero_grad",
            lambda: classification(train_step=_forgetful, optimizer=sgd(0.3)),
            Outcome.PRESENT,
        ),
        Case(
            "a step with zero_grad",
            lambda: classification(train_step=_clearing, optimizer=sgd(0.3)),
            Outcome.ABSENT,
        ),
        Case(
            "near miss: the gradients of two batches added up for one step, on purpose",
            lambda: classification(train_step=_adding_up, batch_size=16),
            Outcome.ABSENT,
        ),
        Case(
            "near miss: gradients clipped before the step",
            lambda: classification(train_step=_clipping),
            Outcome.ABSENT,
        ),
    ),
)
