"""The schedule takes the rate where it does harm: to nothing too early, or nowhere at all.

## What it checks
Three ways in which the course of the rate fails the run, whatever its height: it decays to next to nothing while most
of the run is still to come; it stays high to the end while the loss is thrown up and down from epoch to epoch; or it
starts at full height and throws the loss far above its start in the first steps.

## Why it hurts
The distance that the weights can travel is the sum of the rates. A decay by ten every few steps makes that sum little
more than that of the first few: all later steps together do not move. A rate that never falls, on the other hand,
holds the weights at a distance from the bottom of the valley that is in proportion to it. And in the first steps,
before optimizers know how large gradients are, a full rate may throw the weights where they never come back from.

## How it is measured
From the rates and losses of the run as given: the sum of the rates over the highest of them, as a share of the steps;
the scatter of the validation loss from epoch to epoch over the second half, which comes from the motion of the weights
alone, the samples being the same; the highest loss of the first tenth against the start. The suspicion is tested by
training the same set-up from the same seeds and to the same highest rate, without the decay, with a decay to 0 along a
cosine, or with a warm-up over a twentieth of the steps. It is confirmed if that ends lower on the training data and on
held-out data by at least a tenth of the span.

## Remedy
Leave the decay out, or spread it over the whole run; let a rate decay that does not; warm up where the first steps do
the harm.

## When to leave it
A rate that decays to nothing once the loss has arrived is as it should be, and so are cycles. Where another height of
the rate cures as well, see learning-rate-too-high and learning-rate-too-low.

## References
I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017 (the cosine).
P. Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", 2017 (warm-up).
H. Robbins, S. Monro, "A stochastic approximation method", 1951 (rates must sum to infinity, their squares must not).
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any, Final

from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, StepLR

from unstuck import patients
from unstuck.edits.schedule import with_shape
from unstuck.errors import RemedyError
from unstuck.measure.course import Course
from unstuck.measure.rate_course import RateCourse
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup

SHORT: Final = Threshold(
    0.1,
    "share of the steps",
    "a tenth: a cosine, a straight decay and one cycle leave 0.5, three drops by five at even distances 0.4, and an "
    "exponential decay by e^10 over the run 0.1",
)

BOUNCE: Final = Threshold(
    0.1,
    "share of the whole fall",
    "the share of a span from which a shortfall counts as large: a smaller bounce cannot cost that much",
)

SPIKE: Final = Threshold(
    2.0,
    "loss at the start",
    "a loss that falls from the first step on never rises above its start; twice leaves room for noisy batches",
)

FAULT_DROPS: Final = 50
"""Drops by ten over a run, the first after a fiftieth of it."""
FEWEST_EPOCHS: Final = 8
"""Epochs of a run in which a decay after each comes early."""


def judge(rates: RateCourse, course: Course) -> Verdict:
    """Suspect a rate that dwindles early, one that never falls while the loss bounces, or one that starts too high."""
    name = "sum of the rates over the highest / steps"
    short = Evidence(Quantity(name, rates.full_share, SHORT.unit), SHORT)
    bounce = rates.bounce / course.fall if course.fall > 0.0 else math.nan
    scatter = Quantity("scatter of the validation loss between late epochs / fall of the loss", bounce, BOUNCE.unit)
    bouncing = Evidence(scatter, BOUNCE)
    if math.isnan(rates.full_share):
        return Verdict(Outcome.UNDECIDED, "The rate is not known.", (short,))
    if dwindles(rates):
        sentence = (
            f"The rate fell to a hundredth of its height by step {rates.dwindled_at} of {rates.steps}: the whole run "
            f"goes no further than {rates.full_steps:.0f} steps at full rate."
        )
        return Verdict(Outcome.PRESENT, sentence, (short,))
    if course.non_finite_at < 0 and rates.is_constant_late and bounce >= BOUNCE.value:
        sentence = (
            f"The rate does not fall, and from epoch to epoch the validation loss jumps by {bounce:.0%} of what the "
            "loss fell."
        )
        return Verdict(Outcome.PRESENT, sentence, (bouncing, short))
    rise = rates.spike / course.start if course.start > 0.0 else math.nan
    spike = Evidence(Quantity("highest loss of the first tenth / loss at the start", rise, SPIKE.unit), SPIKE)
    if course.non_finite_at < 0 and rates.first >= 0.5 and rise >= SPIKE.value:
        sentence = f"In the first tenth of the run the loss rose to {rise:.3g} times its start, at full rate."
        return Verdict(Outcome.PRESENT, sentence, (spike, short))
    sentence = f"The run goes as far as {rates.full_share:.0%} of its steps would at full rate, and does not bounce."
    return Verdict(Outcome.ABSENT, sentence, (short, bouncing, spike))


def dwindles(rates: RateCourse) -> bool:
    """Whether the rate is next to nothing for most of the run."""
    return rates.full_share < SHORT.value and 0 <= rates.dwindled_at < 0.5 * rates.steps


def decay_early(setup: Setup) -> Setup:
    """Divide the rate by ten after every fiftieth of the epochs, or after each where there are fewer.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the run has too few epochs for that.
    """
    if setup.epochs < FEWEST_EPOCHS:
        raise RemedyError(f"a run of {setup.epochs} epochs is too short for a decay to come early")
    every = max(1, setup.epochs // FAULT_DROPS)
    words = {**setup.described, "scheduler": f"divided by 10 every {every} epochs"}
    drops = partial(StepLR, step_size=every, gamma=0.1)
    return replace(setup, scheduler=drops, schedule_every="epoch", described=words)


def mend_schedule(setup: Setup, rates: RateCourse) -> tuple[Setup, ...]:
    """Leave an early decay out or spread it; let a rate decay that does not; warm up.

    Args:
        setup: What is trained.
        rates: Tell which of these is called for.

    Returns:
        One set-up a schedule, the smallest change first.

    Raises:
        RemedyError: If the rate is changed by the step itself.
    """
    if dwindles(rates):
        if setup.scheduler is None:
            raise RemedyError("the rate is lowered by the train step or the optimizer itself; change it there")
        return with_shape(setup), with_shape(setup, warm_up=True, decays=True)
    warmed = () if setup.scheduler is not None else (with_shape(setup, warm_up=True),)
    return (*warmed, with_shape(setup, decays=True), with_shape(setup, warm_up=True, decays=True))


def _every_fifth(optimizer: Any) -> StepLR:
    return StepLR(optimizer, 5, 0.1)


RULE = Rule(
    code="OPT016",
    judge=judge,
    fault=decay_early,
    remedy=Remedy("Change the schedule of the rate.", mend_schedule, Applies.SAFE),
    cases=(
        Case(
            "a rate that is divided by ten after every fifth step",
            lambda: patients.shells(scheduler=_every_fifth, schedule_every="step"),
            Outcome.PRESENT,
        ),
        Case("a constant rate that suits", patients.shells, Outcome.ABSENT),
        Case(
            "a cosine down to nothing at the end of the run",
            lambda: patients.shells(scheduler=lambda optimizer: CosineAnnealingLR(optimizer, 20)),
            Outcome.ABSENT,
        ),
        Case(
            "one cycle, whose rate begins and ends at next to nothing",
            lambda: patients.shells(scheduler=lambda optimizer: OneCycleLR(optimizer, 0.02, total_steps=200)),
            Outcome.ABSENT,
        ),
        Case(
            "a rate that is divided by ten late, after the loss has arrived",
            lambda: patients.shells(scheduler=lambda optimizer: StepLR(optimizer, 5, 0.1)),
            Outcome.ABSENT,
        ),
    ),
    explained_by=("DAT001", "DAT002", "SET002", "SET006", "OPT001", "OPT012", "OPT014", "OPT021", "MIS005", "GEN006"),
)
