"""The learning rate is above what the loss surface bears.

## What it checks
Whether single steps move the weights so far that the loss is thrown about or driven up instead of down. Three signs
raise the suspicion: the loss became infinite or NaN (unless a single operation broke on ordinary numbers), one step
changed the weights by a tenth of their own size, or the loss rose above its start while the weights moved fast.

## Why it hurts
A gradient only tells the slope where it was taken. A step that goes further than the surface keeps that slope lands on
the opposite wall of the valley, higher than it started; the next one throws it back again. The loss then rings at a
level that it never leaves, grows without bound, or lands where every ReLU is off and no gradient is left at all.

## How it is measured
From the run as given, watched at some twenty steps: the norm of each layer's update over the norm of its weights, and
the course of the loss against its own noise. Where the loss rose, and the rate times the largest curvature near the
start is beyond what the optimizer bears, that is told too. The suspicion is then tested: the same set-up is trained
with the rate divided by 3, 10, 30, 100, 300 and 1000, from the same seeds and on the same batches. It is confirmed if
one of them ends lower on the training data and on held-out data by at least a tenth of the span down from the best
constant prediction.

## Remedy
Divide the rate by the smallest factor that does nearly as well as the best one. Schedulers keep their shape: the rate
is scaled as a whole. Where a high rate is wanted for speed, a warm-up, gradient clipping or normalisation layers make
a surface bear more.

## When to leave it
A loss that bounces about a low level at the end of a run is no fault if it falls once the rate decays. Large first
steps are usual with Adam and with layers that start at zero; if the run ends as low as a lower rate does, nothing is
wrong. Where unscaled inputs or targets make the surface steep, scale those instead: the rate is then right as it is.

## References
Y. Bengio, "Practical recommendations for gradient-based training of deep architectures", 2012, section 3.1.1.
L. Smith, "Cyclical learning rates for training neural networks", 2017 (the range test).
J. Cohen et al., "Gradient descent on neural networks typically occurs at the edge of stability", 2021.
A. Karpathy, "A recipe for training neural networks", 2019.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import torch

from unstuck import patients
from unstuck.measure.course import Course
from unstuck.measure.curvature.stability import StepCurvature
from unstuck.measure.numerical_failure import NumericalFailure
from unstuck.measure.protocol import Unmeasured
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup
from unstuck.setup.randomness import isolated

LEAP: Final = Threshold(
    0.1,
    "norm of the weights",
    "a hundred times the thousandth that sound runs show (Karpathy 2019); every harmful rate of bench/bases passes it "
    "or drives the loss up",
)

FAST: Final = Threshold(
    0.01,
    "norm of the weights",
    "ten times the thousandth that sound runs show (Karpathy 2019): below it no rate of bench/bases is too high",
)

RISE: Final = Threshold(
    4.0, "standard deviations of the loss at the start", "four: reached once in 30,000 values of normal noise"
)

FACTORS: Final = (3, 10, 30, 100, 300, 1000)


BEARS: Final = Threshold(
    1.0, "limit of the optimizer", "stability on a quadratic: 2 / rate for gradient descent (Cohen et al. 2021)"
)


def judge(course: Course, failure: NumericalFailure | Unmeasured, step: StepCurvature | Unmeasured) -> Verdict:
    """Suspect steps that leap, or a loss that rises while the weights move fast."""
    verdict = _judged(course, failure)
    # Below its limit the start tells nothing: curvature grows until the steps ring (Cohen et al. 2021).
    if isinstance(step, Unmeasured) or verdict.outcome is not Outcome.PRESENT or not step.ratio >= BEARS.value:
        return verdict
    ratio = Quantity(f"rate × curvature near the start / what {step.optimizer} bears", step.ratio, "1")
    return replace(verdict, evidence=(*verdict.evidence, Evidence(ratio, BEARS)))


def _judged(course: Course, failure: NumericalFailure | Unmeasured) -> Verdict:
    largest = Quantity("largest update of the weights in one step / weights", course.largest_update, LEAP.unit)
    leap = Evidence(largest, LEAP)
    local = isinstance(failure, NumericalFailure) and failure.began_there
    if course.non_finite_at >= 0 and not (local and _is_quiet(course)):
        step = Quantity("step at which the loss was no longer a number", float(course.non_finite_at), "steps")
        sentence = f"The loss was no longer a finite number after {course.non_finite_at} steps."
        return Verdict(Outcome.PRESENT, sentence, (Evidence(step), leap))
    if course.non_finite_at >= 0:
        sentence = "The loss ended in no number, but one operation broke on ordinary numbers: no step leapt before it."
        return Verdict(Outcome.ABSENT, sentence, (leap,))
    if math.isnan(course.largest_update):
        return Verdict(Outcome.UNDECIDED, "No update of the weights was seen.", (leap,))
    if course.largest_update >= LEAP.value:
        sentence = f"One step changed the weights by {course.largest_update:.0%} of their size."
        return Verdict(Outcome.PRESENT, sentence, (leap,))
    risen = (max(course.highest, course.end) - course.start) / max(course.early_noise, 1e-12)
    rise = Evidence(Quantity("rise of the loss above its start / its noise there", risen, RISE.unit), RISE)
    fast = Evidence(largest, FAST)
    # A loss that ends where it began although the weights moved fast has been thrown about just as well.
    thrown = risen >= RISE.value or course.end >= course.start or course.late_fall_high < 0.0
    if course.largest_update >= FAST.value and thrown:
        high = max(course.highest, course.end)
        sentence = f"The loss rose (from {course.start:.3g}, up to {high:.3g}) while the weights moved fast."
        return Verdict(Outcome.PRESENT, sentence, (rise, fast))
    sentence = f"No step changed the weights by more than {course.largest_update:.1%} of their size."
    return Verdict(Outcome.ABSENT, sentence, (leap, rise))


def _is_quiet(course: Course) -> bool:
    """Whether the weights moved as they do in sound runs up to the end."""
    return not course.largest_update >= LEAP.value


def raise_rate(setup: Setup) -> Setup:
    """Multiply the rate by 100, or by 300 where the optimizer scales its steps by past gradients itself."""
    with isolated(setup.seed):
        _, optimizer = setup.build()
    plain = isinstance(optimizer, torch.optim.SGD)
    return replace(setup, optimizer=setup.optimizer.with_rate_times(100.0 if plain else 300.0))


def lower_rate(setup: Setup) -> tuple[Setup, ...]:
    """Divide the rate by each of `FACTORS`."""
    return tuple(replace(setup, optimizer=setup.optimizer.with_rate_times(1.0 / factor)) for factor in FACTORS)


RULE = Rule(
    code="OPT001",
    judge=judge,
    fault=raise_rate,
    remedy=Remedy("Lower the learning rate.", lower_rate, Applies.SAFE),
    cases=(
        Case(
            "SGD with momentum at a rate of 3, which throws the loss about",
            lambda: patients.shells(optimizer=patients.sgd(3.0, 0.9)),
            Outcome.PRESENT,
        ),
        Case("Adam at a rate that suits it", patients.shells, Outcome.ABSENT),
        Case(
            "SGD at 0.1 with momentum, as large as rates usually get and quite sound here",
            lambda: patients.shells(optimizer=patients.sgd(0.1, 0.9)),
            Outcome.ABSENT,
        ),
        Case(
            "noise in the targets that makes a sound run's loss jump about",
            lambda: patients.regression(noise=0.7, epochs=15),
            Outcome.ABSENT,
        ),
    ),
    explained_by=(
        "SET006",
        "DAT001",
        "DAT002",
        "OPT010",
        "OPT007",
        "OPT012",
        "OPT014",
        "OPT018",
        "OPT021",
        "MIS006",
        "CAP003",
        "MIS005",
        "GEN006",
    ),
)
