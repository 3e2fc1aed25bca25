"""The learning rate is too low for the steps that are taken.

## What it checks
Whether each step moves the weights so little that the run ends long before the loss has got anywhere: the loss still
falls at the end, or has not left its start at all, and the updates are small against the weights.

## Why it hurts
The distance that the weights can travel is the number of steps times their size. With a rate a hundred times too low,
a run of twenty epochs gets as far as a sound one gets in a fifth of an epoch. The curve looks calm and healthy, a
smooth line that points downwards, and nothing but the height at which it ends tells that the time was wasted.

## How it is measured
From the run as given: the norm of each layer's update over the norm of its weights at some twenty watched steps (the
median layer, the median step), and the fall of the loss over the second half of the run with its interval. The
suspicion is tested by training the same set-up from the same seeds at higher rates, those that bring the updates up
to between a thousandth and a tenth of the weights. It is confirmed if one of them ends lower on the training data and
on held-out data by at least a tenth of the span.

## Remedy
Multiply the rate by the smallest factor that does nearly as well as the best one. More epochs at the same rate reach
the same place, at many times the cost.

## When to leave it
Fine-tuning of weights that are good already calls for small steps, and a rate that decays to nothing at the end of a
schedule is meant to. If the loss is as low as a higher rate gets it, small updates only say that the run has arrived.
Where updates are of a usual size and the run is just short, see stopped-too-early. Where they were of a usual size at
first, and the optimizer let them die out at the same rate and the same gradients, see optimizer-unsuited.

## References
Y. Bengio, "Practical recommendations for gradient-based training of deep architectures", 2012, section 3.1.1.
A. Karpathy, "CS231n: Neural networks, part 3", 2015 (the ratio of updates to weights should be about 1e-3).
L. Smith, "Cyclical learning rates for training neural networks", 2017 (the range test).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from unstuck import patients
from unstuck.errors import RemedyError
from unstuck.measure.course import DIED_OUT, FLAT, SOUND_UPDATE, Course
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup

SMALL: Final = Threshold(
    1e-2,
    "norm of the weights",
    "ten times the thousandth of Karpathy 2015; every base of bench/bases at a thirtieth of its rate is below 3e-3",
)

LEAP: Final = Threshold(
    0.1,
    "norm of the weights",
    "a hundred times the thousandth that sound runs show (Karpathy 2019): as too high a rate",
)

SOUND: Final = (SOUND_UPDATE, 0.1)
"""Updates over weights that a sound rate gives, and a decade on either side is tried."""

FACTORS: Final = (3, 10, 30, 100, 300, 1000, 3000, 10000)
FAULT: Final = 1.0 / 300.0


def judge(course: Course) -> Verdict:
    """Suspect small updates in a run that has not arrived."""
    typical = Quantity("typical update of the weights in one step / weights", course.typical_update, SMALL.unit)
    largest = Quantity("largest update of the weights in one step / weights", course.largest_update, LEAP.unit)
    update = Evidence(typical, SMALL)
    late = Evidence(course.late_fall_share, FLAT)
    if math.isnan(course.typical_update):
        return Verdict(Outcome.UNDECIDED, "No update of the weights was seen.", (update, late))
    if course.typical_update >= SMALL.value:
        sentence = f"A typical step changed the weights by {course.typical_update:.2%} of their size: not little."
        return Verdict(Outcome.ABSENT, sentence, (update, late))
    if course.typical_update == 0.0:
        sentence = "The weights did not move at all, which no rate changes."
        return Verdict(Outcome.ABSENT, sentence, (update, late))
    if course.largest_update >= LEAP.value and course.end >= course.start:
        sentence = f"One step changed the weights by {course.largest_update:.0%} of their size, and the loss rose."
        return Verdict(Outcome.ABSENT, sentence, (Evidence(largest, LEAP), update))
    # A higher rate would make up in part for steps that die out, whatever the rate: that is the optimizer's doing.
    if course.died_out:
        kept = Quantity("pace of the optimizer in the second half / in the first steps", course.pace_kept, "1")
        sentence = (
            f"The first steps changed the weights by up to {course.largest_update:.2%} of their size; it is the "
            "optimizer whose steps died out since, and not the rate that was too low."
        )
        return Verdict(Outcome.ABSENT, sentence, (Evidence(kept, DIED_OUT), update))
    # Coming to rest speaks for a sound rate only where the weights once moved at a sound pace.
    if course.has_arrived and course.largest_update >= SMALL.value:
        return Verdict(Outcome.ABSENT, "The loss fell and then stayed where it was.", (late, update))
    sentence = (
        f"A typical step changed the weights by {course.typical_update:.2%} of their size, and the loss had not "
        "settled when the run ended."
    )
    if course.has_arrived:
        sentence = (
            f"A typical step changed the weights by {course.typical_update:.2%} of their size, and none was large: "
            "that the loss levelled off does not clear the rate."
        )
    return Verdict(Outcome.PRESENT, sentence, (update, late))


def lower_rate(setup: Setup) -> Setup:
    """Divide the rate by 300."""
    return replace(setup, optimizer=setup.optimizer.with_rate_times(FAULT))


def raise_rate(setup: Setup, course: Course) -> tuple[Setup, ...]:
    """Multiply the rate by the factors that bring the updates to a sound size.

    Args:
        setup: What is trained.
        course: Tells the size of the updates.

    Returns:
        One set-up a factor, the smallest first.

    Raises:
        RemedyError: If no update was seen.
    """
    if not course.typical_update > 0.0:
        raise RemedyError("the weights did not move, so no factor on the rate is of use")
    low, high = SOUND
    fitting = [factor for factor in FACTORS if low <= factor * course.typical_update <= high]
    return tuple(replace(setup, optimizer=setup.optimizer.with_rate_times(factor)) for factor in fitting or FACTORS[:2])


RULE = Rule(
    code="OPT002",
    judge=judge,
    fault=lower_rate,
    remedy=Remedy("Raise the learning rate.", raise_rate, Applies.SAFE),
    cases=(
        Case(
            "Adam at a rate of 3e-5, three hundred times too low",
            lambda: patients.shells(optimizer=patients.adam(3e-5)),
            Outcome.PRESENT,
        ),
        Case("Adam at a rate that suits it", patients.shells, Outcome.ABSENT),
        Case(
            "SGD with momentum at a rate that looks low and is enough here",
            lambda: patients.shells(optimizer=patients.sgd(0.02, 0.9)),
            Outcome.ABSENT,
        ),
        Case(
            "a low rate whose loss has settled at the level of the noise",
            lambda: patients.regression(optimizer=patients.adam(3e-3), noise=0.7, epochs=40),
            Outcome.ABSENT,
        ),
    ),
    explained_by=(
        *(f"SET{number:03d}" for number in (7, 8, 9, 15, 20)),
        *("DAT001", "DAT002", "DAT006"),
        *("OPT003", "OPT004", "OPT006", "OPT013", "OPT014", "OPT016", "OPT017", "OPT018"),
        "MIS005",
    ),
)
