"""The training step does its parts in the wrong order, or steps the schedule at the wrong time.

## What it checks
Whether the optimizer steps before the backward pass, with the gradients cleared in between, or never; whether
gradients are clipped after the step that they are meant for; whether a schedule made for epochs is stepped after every
batch.

## Why it hurts
A step needs the gradient of this batch, cleared before and clipped after the backward pass. A step on cleared
gradients changes nothing. A clip after the step protects from nothing. A schedule that is stepped for every batch
instead of every epoch has used up the rate within the first few epochs, and the rest of the run stands still.

## How it is measured
Hooks see some real training steps: in which order gradients are cleared, arrive and are used, and what is done to them
after their use. The schedule is played through without training: at which share of the batches the rate is a
hundredth of its highest or less, stepped as it is and stepped once an epoch. The trial clears first and steps last in
each training step, or steps the schedule once an epoch.

## Remedy
`optimizer.zero_grad()`, forward, `loss.backward()`, clipping, `optimizer.step()`, in this order; `scheduler.step()`
after the last batch of an epoch, unless the schedule is made for batches.

## When to leave it
Schedules that are made for batches, such as OneCycleLR or a warm-up over a number of steps, are not reported: they use
up the rate at the end of the run. Clearing after the step is as good as clearing before the backward pass. Stepping
the schedule just before the optimizer shifts it by one step, which is no harm worth a report.

## References
PyTorch, "torch.optim", sections "Taking an optimization step" and "How to adjust learning rate" (the order of calls).
Islam et al., "A comprehensive study on deep learning bug characteristics", ESEC/FSE 2019 (API misuse: order of calls).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Final

from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR, OneCycleLR

from unstuck import patients
from unstuck.edits.written_step import write_step
from unstuck.errors import RemedyError
from unstuck.measure.first_steps import MOST_CALLS, FirstSteps
from unstuck.measure.rate_schedule import RateSchedule
from unstuck.quantity import Quantity, Threshold, roughly
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup

EMPTY: Final = Threshold(
    0.0, "norm of the gradient in the step", "a step on cleared gradients, as no step after a backward pass can be"
)
CHANGED: Final = Threshold(
    0.999,
    "norm of the gradient that the step used",
    "rounding leaves the norm within 1e-3 in half precision (IEEE 754); clipping that acts goes below",
)
SPENT: Final = Threshold(
    0.5,
    "share of the batches",
    "majority: half of the run or more at a hundredth of the rate; schedules for batches end at 0.06 (cosine) to 0.1",
)


def judge(first: FirstSteps, schedule: RateSchedule) -> Verdict:
    """Suspect steps without a gradient, clips behind the step, and schedules used up by batches."""
    used = max(first.gradient_norms[1:], default=math.nan)
    evidence = [
        Evidence(Quantity("largest gradient that one of the first steps used", used, "norm"), EMPTY),
        Evidence(Quantity("gradient after the step / gradient that the step used", first.late_norm), CHANGED),
    ]
    if schedule.exists:
        spent = Quantity("share of the batches at a hundredth of the rate or less", schedule.spent)
        by_epoch = Quantity("the same, with the schedule stepped once an epoch", schedule.spent_by_epoch)
        evidence += [Evidence(spent, SPENT), Evidence(by_epoch, SPENT)]
    for outcome, sentence, where in (_order(first, schedule), _schedule(schedule)):
        if outcome:
            return Verdict(Outcome.PRESENT, sentence, tuple(evidence), tuple(filter(None, where)))
    if first.steps == 0 and first.calls < _enough(schedule):
        sentence = f"No optimizer step was taken on {first.calls} batches: too few to tell."
        return Verdict(Outcome.UNDECIDED, sentence, tuple(evidence))
    sentence = "The first steps clear, add up, and use the gradients in the right order."
    if schedule.exists:
        sentence += f" The rate is spent at {schedule.spent:.0%} of the batches."
    if schedule.ahead:
        sentence += " The schedule is stepped ahead of the optimizer, which shifts it by one step."
    return Verdict(Outcome.ABSENT, sentence, tuple(evidence))


def _enough(schedule: RateSchedule) -> float:
    """Batches within which gradients that are added up on purpose have made a step: an epoch's, if not too many."""
    return min(MOST_CALLS, schedule.batches / max(1, schedule.epochs) or MOST_CALLS)


def _order(first: FirstSteps, schedule: RateSchedule) -> tuple[bool, str, tuple[str, ...]]:
    got_gradient = any(layer.alive for layer in first.layers)
    moved = any(layer.moved for layer in first.layers)
    lines = (first.clear_line, first.step_line)
    if first.steps == 0 and got_gradient and not moved and first.calls >= _enough(schedule):
        return True, f"The optimizer took no step on {first.calls} batches.", (first.backward_line,)
    if first.steps > 1 and got_gradient and not moved and not any(first.gradient_norms):
        order = ", ".join(first.order)
        return True, f"Every optimizer step came on cleared gradients: the order is {order}.", lines
    if first.late_norm < CHANGED.value:
        sentence = f"Gradients are clipped after the step that used them, to {roughly(first.late_norm)} of their norm."
        return True, sentence, lines[1:]
    return False, "", ()


def _schedule(schedule: RateSchedule) -> tuple[bool, str, tuple[str, ...]]:
    if not schedule.per_batch:
        return False, "", ()
    if not schedule.spent >= SPENT.value > schedule.spent_by_epoch:
        return False, "", ()
    sentence = (
        f"The schedule is stepped for every batch: {schedule.spent:.0%} of them come at a hundredth of the rate or "
        f"less, against {schedule.spent_by_epoch:.0%} were it stepped once an epoch."
    )
    return True, sentence, (schedule.line,)


def step_before_backward(setup: Setup) -> Setup:
    """Clear, step, and only then run the backward pass."""
    return write_step(setup, "zero_grad", "step", "backward")


def put_in_order(setup: Setup, first: FirstSteps, schedule: RateSchedule) -> Setup:
    """Clear first and step last in each training step, or step the schedule once an epoch.

    Args:
        setup: What is trained.
        first: Tells the order of the step.
        schedule: Tells what the schedule does.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If neither is out of order.
    """
    if _order(first, schedule)[0]:
        return setup.corrected(in_order=True)
    if not schedule.per_batch:
        raise RemedyError("every part of the step is where it should be")
    if schedule.inside:
        return setup.corrected(schedule_by_epoch=True)
    return replace(setup, schedule_every="epoch")


def _clearing_late(model: nn.Module, optimizer: Optimizer, batch: Any) -> Tensor:
    """Clears the gradients between the backward pass and the step."""
    loss = functional.cross_entropy(model(batch[0]), batch[1])
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()
    return loss


def _clipping_late(model: nn.Module, optimizer: Optimizer, batch: Any) -> Tensor:
    """Clips the gradients once they have been used."""
    optimizer.zero_grad()
    loss = functional.cross_entropy(model(batch[0]), batch[1])
    loss.backward()
    optimizer.step()
    nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    return loss


def _clearing_last(model: nn.Module, optimizer: Optimizer, batch: Any) -> Tensor:
    loss = functional.cross_entropy(model(batch[0]), batch[1])
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss


def _decaying(model: nn.Module, optimizer: Optimizer, batch: Any) -> Tensor:
    """Holds its own schedule, which is made for epochs, and steps it for every batch."""
    group = optimizer.param_groups[0]
    if "schedule" not in group:
        group["schedule"] = ExponentialLR(optimizer, 0.9)
    loss = _clearing_last(model, optimizer, batch)
    group["schedule"].step()
    return loss


def _warm_up(optimizer: Optimizer) -> LambdaLR:
    return LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 20) * (0.5 + 0.5 * math.cos(math.pi * step / 200)))


RULE = Rule(
    code="SET015",
    judge=judge,
    fault=step_before_backward,
    remedy=Remedy(
        "Clear the gradients, run backward, clip, step, in this order, and step a schedule for epochs once an epoch.",
        put_in_order,
        Applies.SAFE,
    ),
    cases=(
        Case(
            "gradients cleared between backward and step",
            lambda: patients.shells(train_step=_clearing_late),
            Outcome.PRESENT,
        ),
        Case("gradients cleared after the step", lambda: patients.shells(train_step=_clearing_last), Outcome.ABSENT),
        Case(
            "a decay for epochs, stepped for every batch",
            lambda: patients.shells(
                optimizer=patients.sgd(0.05, 0.9),
                scheduler=lambda optimizer: ExponentialLR(optimizer, 0.9),
                schedule_every="step",
            ),
            Outcome.PRESENT,
        ),
        Case(
            "the same inside the training step",
            lambda: patients.shells(optimizer=patients.sgd(0.05, 0.9), train_step=_decaying),
            Outcome.PRESENT,
        ),
        Case(
            "near miss: clipped after the step, at a rate that needs no clipping",
            lambda: patients.shells(train_step=_clipping_late),
            Outcome.ABSENT,
        ),
        Case(
            "near miss: OneCycleLR, which is made for batches",
            lambda: patients.shells(scheduler=lambda optimizer: OneCycleLR(optimizer, 0.02, total_steps=200)),
            Outcome.ABSENT,
        ),
        Case(
            "near miss: a warm-up and a cosine over the batches of the run",
            lambda: patients.shells(scheduler=_warm_up, schedule_every="step"),
            Outcome.ABSENT,
        ),
    ),
)
