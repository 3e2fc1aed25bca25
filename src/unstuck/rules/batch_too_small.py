"""The batches are so small that the noise of their gradients keeps the loss up.

## What it checks
Whether single steps follow the few samples of their batch rather than the data: a gradient noise scale far above the
batch size, at the very start of the run, and a loss that has stopped falling at the height where the noise holds it,
or never fell.

## Why it hurts
The gradient of one or two samples is the true one plus noise that may be ten times as long. Near the bottom of a
valley the true part vanishes and the noise does not: the weights are kicked about at a distance that grows with the
rate over the batch size, and the loss stays up however long the run. A rate that batches of 32 bear well throws
batches of two about.

## How it is measured
The gradients of single samples (of small parts of the data, where the model mixes samples) on the weights that the
run starts from give the noise scale, tr Σ / |G|², with its interval; later in a run it only grows. The suspicion is
tested by training the same set-up from the same seeds, *at the same rate*, on batches 4, 16 and 64 times as large for
as many epochs. It is confirmed if one of them ends lower on the training data and on held-out data by at least a tenth
of the span, although it takes fewer steps. Where the rate is above what the surface bears, larger batches do not help:
that is learning-rate-too-high.

## Remedy
Use larger batches, the smallest that do nearly as well as the best. Where memory does not allow them, add up the
gradients of several batches before each step. A rate that is lower, or that decays, averages over more steps and does
as well; where a loader makes the batches, the rate is divided by 4, 16 and 64 instead.

## When to leave it
Small batches at a rate that suits them reach as low, and often generalise better. A loss that jumps from batch to
batch is no fault in itself: only the height at which its mean stays is. The noise of the data themselves, such as
wrong labels, is not averaged away by larger batches. Where batch-norm is what suffers, see batch-norm-small-batch.

## References
S. McCandlish, J. Kaplan, D. Amodei et al., "An empirical model of large-batch training", 2018.
S. Smith, P.-J. Kindermans, C. Ying, Q. Le, "Don't decay the learning rate, increase the batch size", 2018.
L. Bottou, F. Curtis, J. Nocedal, "Optimization methods for large-scale machine learning", 2018, section 4 (the floor).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import torch

from unstuck import patients
from unstuck.edits.schedule import with_batch_size
from unstuck.edits.structure import read_structure
from unstuck.errors import RemedyError
from unstuck.measure.course import Course
from unstuck.measure.gradient_noise import GradientNoise
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup
from unstuck.setup.randomness import isolated

NOISY: Final = Threshold(
    8.0,
    "gradient noise scale / samples of an update",
    "eight ninths of the squared length of a step are then noise (McCandlish et al. 2018); the lower end is 3.8 and "
    "below on every base of bench/bases, and 9 and above on most of them with batches of two",
)

FALLING: Final = Threshold(
    0.3,
    "share of the whole fall",
    "a loss on a straight line has half of its fall in the second half; one that comes to rest on its noise far less",
)

FACTORS: Final = (4, 16, 64)
FAULT_SIZE: Final = 2
FAULT_RATE: Final = 10.0


def judge(noise: GradientNoise, course: Course) -> Verdict:
    """Suspect steps that are mostly noise, in a run whose loss has stopped falling or never fell."""
    samples = noise.samples_per_update
    ratio = noise.start.low / samples if samples > 0.0 else math.nan
    largest = noise.start.high / samples if samples > 0.0 else math.nan
    point = noise.start.scale / samples if samples > 0.0 else math.nan
    name = "gradient noise scale at the start / samples behind one update"
    share = Evidence(Quantity(name, point, NOISY.unit, ratio, largest), NOISY)
    late = Evidence(course.late_fall_share, FALLING)
    if not ratio >= NOISY.value:
        sentence = (
            f"The gradient noise scale at the start, {noise.start.scale:.3g} samples, is not clearly above the "
            f"{samples:.3g} behind an update."
        )
        return Verdict(Outcome.ABSENT, sentence, (share, late))
    if course.late_share >= FALLING.value and course.non_finite_at < 0:
        sentence = f"The loss was still falling: {course.late_share:.0%} of the fall came in the second half."
        return Verdict(Outcome.ABSENT, sentence, (late, share))
    sentence = (
        f"At the start already the noise of the gradient calls for {noise.start.scale:.3g} samples, an update has "
        f"{samples:.3g}, and the loss had stopped falling before the run ended."
    )
    return Verdict(Outcome.PRESENT, sentence, (share, late))


def use_tiny_batches(setup: Setup) -> Setup:
    """Train on batches of two, at a rate that larger ones bear.

    Optimizers that scale their steps by past gradients damp the noise of tiny batches; there the rate is ten times as
    high as well, which batches of the size as given bear.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the batches cannot be changed, or are small already, or batch-norm would suffer first.
    """
    if setup.train.batch_size < FACTORS[0] * FAULT_SIZE:
        raise RemedyError(f"batches of {setup.train.batch_size} samples are small already")
    if any("BatchNorm" in layer.kind for layer in read_structure(setup).layers):
        raise RemedyError("it is batch-norm that batches of two would hurt first")
    changed = with_batch_size(setup, FAULT_SIZE)
    if changed.train is setup.train:
        raise RemedyError("the batches are made by a loader of the user's own")
    with isolated(setup.seed):
        _, optimizer = setup.build()
    if isinstance(optimizer, torch.optim.SGD):
        return changed
    return replace(changed, optimizer=changed.optimizer.with_rate_times(FAULT_RATE))


def use_larger_batches(setup: Setup) -> tuple[Setup, ...]:
    """Multiply the batch size by each of `FACTORS`; where a loader makes the batches, divide the rate instead.

    Args:
        setup: What is trained.

    Returns:
        One set-up a factor, the smallest first.

    Raises:
        RemedyError: If the data are too few for larger batches.
    """
    size, given = setup.train.size, setup.train.batch_size
    if setup.train.with_batch_size(FACTORS[0] * given) is setup.train:
        return tuple(replace(setup, optimizer=setup.optimizer.with_rate_times(1.0 / each)) for each in FACTORS)
    sizes = [factor * given for factor in FACTORS if size is None or factor * given <= size // FACTORS[0]]
    if not sizes:
        raise RemedyError(f"{size} samples are too few for larger batches than {given}")
    return tuple(with_batch_size(setup, each) for each in sizes)


RULE = Rule(
    code="OPT012",
    judge=judge,
    fault=use_tiny_batches,
    remedy=Remedy("Use larger batches.", use_larger_batches, Applies.SAFE),
    cases=(
        Case(
            "batches of two at a rate that batches of 32 bear",
            lambda: patients.shells(batch_size=2, optimizer=patients.sgd(0.2, 0.9), epochs=6),
            Outcome.PRESENT,
        ),
        Case("batches of 32", patients.shells, Outcome.ABSENT),
        Case(
            "batches of two at a rate that suits them",
            lambda: patients.shells(batch_size=2, optimizer=patients.sgd(0.02), epochs=6),
            Outcome.ABSENT,
        ),
        Case(
            "a noisy loss whose noise is in the targets",
            lambda: patients.regression(noise=0.7, optimizer=patients.adam(3e-3)),
            Outcome.ABSENT,
        ),
    ),
    explained_by=("DAT001", "DAT002", "SET002", "SET006", "OPT014", "OPT018", "OPT021", "MIS005"),
)
