"""The batches are so large that an epoch is only a few updates.

## What it checks
Whether the run spends its epochs on a handful of updates, each from far more samples than its gradient needs: few
updates per epoch, a batch above the gradient noise scale, and a loss that is still on its way when the run ends.

## Why it hurts
Averaging over more samples makes a gradient less noisy, but no step longer than the surface bears. Once a batch holds
as many samples as the noise scale, half of them are wasted; beyond that, a batch twice as large costs twice as much
and moves the weights hardly further. With the whole data set in one batch, twenty epochs are twenty steps.

## How it is measured
The gradients of single samples (of small parts of the data, where the model mixes samples) at the start and at the end
of the run give the noise scale, tr Σ / |G|², with its interval. It is held against the samples behind one update of
the optimizer. The suspicion is tested by training the same set-up from the same seeds for as many epochs on smaller
batches. It is confirmed if one of them ends lower on the training data and on held-out data by at least a tenth of the
span. A run with few updates and batches below the noise scale is short, not wasteful: see stopped-too-early.

## Remedy
Use smaller batches: a quarter, a sixteenth or a sixty-fourth, the largest that does nearly as well as the best. Where
the batches are made by a loader that cannot be changed here, the rate is raised by the square root of four, sixteen
and sixty-four instead.

## When to leave it
A full batch that is run for hundreds of epochs arrives as well, and second-order methods (L-BFGS) call for it. Where
the device computes a large batch in the time of a small one, keep it and raise the rate or the number of epochs.

## References
S. McCandlish, J. Kaplan, D. Amodei et al., "An empirical model of large-batch training", 2018.
N. Keskar et al., "On large-batch training for deep learning: generalization gap and sharp minima", 2017.
P. Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", 2017 (the linear scaling rule).
E. Hoffer, I. Hubara, D. Soudry, "Train longer, generalize better", 2017 (the square-root rule).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from unstuck import patients
from unstuck.edits.schedule import with_batch_size
from unstuck.errors import RemedyError
from unstuck.measure.course import FLAT, Course
from unstuck.measure.gradient_noise import GradientNoise
from unstuck.quantity import Quantity, Threshold, roughly
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup

FEW: Final = Threshold(
    4.0,
    "updates per epoch",
    "four: every base of bench/bases takes six and more, and the healthy set-up of bench/healthy that takes one runs "
    "for 250 epochs",
)

WASTEFUL: Final = Threshold(
    1.0,
    "samples of an update / gradient noise scale",
    "one: from there on more than half of the samples bring no progress (McCandlish et al. 2018, equation 2.11)",
)

DIVISORS: Final = (4, 16, 64)
SMALLEST: Final = 8
"""Samples of a batch below which the remedy does not go: the gradients become as noisy as they were idle."""


def judge(noise: GradientNoise, course: Course) -> Verdict:
    """Suspect few updates, from batches above the noise scale, in a run that has not arrived."""
    few = Evidence(Quantity("updates of the weights in one epoch", noise.updates_per_epoch, FEW.unit), FEW)
    scale = min(noise.start.scale, math.inf if noise.end is None else noise.end.scale)
    excess = noise.samples_per_update / scale if scale > 0.0 else math.inf
    waste = Evidence(Quantity("samples behind one update / gradient noise scale", excess, WASTEFUL.unit), WASTEFUL)
    late = Evidence(course.late_fall_share, FLAT)
    if not math.isfinite(noise.updates_per_epoch):
        return Verdict(Outcome.UNDECIDED, "How many batches an epoch has is not known.", (few, waste))
    if noise.updates_per_epoch > FEW.value:
        sentence = f"An epoch takes {noise.updates_per_epoch:.0f} updates: not few."
        return Verdict(Outcome.ABSENT, sentence, (few, waste))
    if course.non_finite_at >= 0:
        return Verdict(Outcome.ABSENT, "The run ended in a loss that is no finite number.", (few, waste))
    if course.has_arrived:
        return Verdict(Outcome.ABSENT, "The loss fell and then stayed where it was.", (late, few))
    if not excess >= WASTEFUL.value:
        sentence = f"A batch is not above the gradient noise scale ({scale:.0f} samples), so no sample of it is idle."
        return Verdict(Outcome.ABSENT, sentence, (waste, few))
    sentence = (
        f"An epoch takes {roughly(noise.updates_per_epoch)} update{'s' * (noise.updates_per_epoch != 1)}, each from "
        f"{excess:.3g} times as many samples as the noise of the gradient calls for, and the loss had not settled when "
        "the run ended."
    )
    return Verdict(Outcome.PRESENT, sentence, (few, waste, late))


def use_full_batches(setup: Setup) -> Setup:
    """Put the whole training split into one batch.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the batches cannot be changed, or are few already.
    """
    count, size = setup.train.batches_per_epoch, setup.train.size
    if count is None or size is None or count <= FEW.value:
        raise RemedyError("an epoch must have a known number of batches, and not few of them, for this to be a fault")
    changed = with_batch_size(setup, size)
    if changed.train is setup.train:
        raise RemedyError("the batches are made by a loader of the user's own")
    return changed


def use_smaller_batches(setup: Setup) -> tuple[Setup, ...]:
    """Divide the batch size by each of `DIVISORS`; where a loader makes the batches, multiply the rate instead.

    Args:
        setup: What is trained.

    Returns:
        One set-up a size, the largest first.

    Raises:
        RemedyError: If the batches are small already.
    """
    sizes = [size for divisor in DIVISORS if (size := setup.train.batch_size // divisor) >= SMALLEST]
    if not sizes:
        raise RemedyError(f"batches of {setup.train.batch_size} samples leave nothing to divide")
    if setup.train.with_batch_size(sizes[0]) is setup.train:
        return tuple(replace(setup, optimizer=setup.optimizer.with_rate_times(math.sqrt(each))) for each in DIVISORS)
    # A last batch of one sample alone is what batch-norm refuses.
    rest = setup.train.size or 0
    return tuple(with_batch_size(setup, size + (rest % size == 1)) for size in sizes)


RULE = Rule(
    code="OPT013",
    judge=judge,
    fault=use_full_batches,
    remedy=Remedy("Use smaller batches.", use_smaller_batches, Applies.SAFE),
    cases=(
        Case("all samples in one batch, for twenty epochs", lambda: patients.shells(batch_size=320), Outcome.PRESENT),
        Case("batches of 32", patients.shells, Outcome.ABSENT),
        Case(
            "all samples in one batch, for as many epochs as it takes",
            lambda: patients.shells(batch_size=320, epochs=300, optimizer=patients.adam(0.02)),
            Outcome.ABSENT,
        ),
        Case(
            "a single epoch of ten batches, which is short, not wasteful",
            lambda: patients.shells(epochs=1),
            Outcome.ABSENT,
        ),
    ),
    explained_by=("DAT001", "DAT002", "DAT006", "SET002", "SET006", "OPT006", "OPT014"),
)
