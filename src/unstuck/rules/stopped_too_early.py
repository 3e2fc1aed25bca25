"""Training stops while the loss is still falling.

## What it checks
Whether the run ended before it arrived: the steps are of a sound size, and the loss was still on its way down, or the
run is too short to show that it had come to rest.

## Why it hurts
Everything that the network would have learnt in the epochs that were not run is missing, on training and held-out
data alike. It is often mistaken for a network that is too small or for data that hold no more, because the curve is
judged by where it ends instead of by its slope there.

## How it is measured
A robust straight line (Theil and Sen) through the losses of the second half of the run, with its interval: the run has
arrived if the fall along it is a small share of the whole fall. The size of the steps, as the norm of the updates over
that of the weights, tells a run that is too short from one whose rate is too low. The suspicion is tested by training
the same set-up for 3, 10 and 30 times as many epochs, as far as the time allows. It is confirmed if one of them ends
lower on the training data and on held-out data by at least a tenth of the span.

## Remedy
Train for more epochs: the smallest multiple that does nearly as well as the longest that was tried. A schedule is
stretched with them, so that the rate takes the same course over the longer run.

## When to leave it
Training loss that creeps down while the held-out loss has turned calls for no more epochs. A run that is cut short on
purpose, as a test of the code or as one round of a search, is what it is. Where a higher rate would arrive within the
same epochs, learning-rate-too-low is the cheaper diagnosis.

## References
H. Theil, "A rank-invariant method of linear and polynomial regression analysis", 1950; P. K. Sen, 1968.
E. Hoffer, I. Hubara, D. Soudry, "Train longer, generalize better", 2017.
T. Domhan, J. T. Springenberg, F. Hutter, "Speeding up automatic hyperparameter optimization of deep neural networks
by extrapolation of learning curves", 2015.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from unstuck import patients
from unstuck.edits.schedule import with_epochs_times
from unstuck.errors import RemedyError
from unstuck.measure.course import FLAT, Course
from unstuck.measure.history import History
from unstuck.measure.preparation import Allowance
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup

SOUND: Final = Threshold(
    3e-3,
    "norm of the weights",
    "between the healthy set-ups of bench/bases with a tenth of their epochs (3.2e-3 and up) and with a thirtieth of "
    "their rate (2.6e-3 and down); the thousandth of Karpathy 2015 is meant for the whole of a run",
)

FACTORS: Final = (3, 10, 30)
FAULT: Final = 20


def judge(course: Course) -> Verdict:
    """Suspect a run that moves at a sound pace and has not come to rest."""
    typical = Quantity("typical update of the weights in one step / weights", course.typical_update, SOUND.unit)
    update = Evidence(typical, SOUND)
    late = Evidence(course.late_fall_share, FLAT)
    if course.non_finite_at >= 0:
        return Verdict(Outcome.ABSENT, "The run ended in a loss that is no finite number.", (late,))
    if math.isnan(course.typical_update):
        return Verdict(Outcome.UNDECIDED, "No update of the weights was seen.", (update, late))
    if course.typical_update < SOUND.value:
        sentence = f"A typical step changed the weights by only {course.typical_update:.2%} of their size."
        return Verdict(Outcome.ABSENT, sentence, (update, late))
    if course.has_arrived:
        return Verdict(Outcome.ABSENT, "The loss fell and then stayed where it was.", (late, update))
    if course.never_fell:
        return Verdict(Outcome.ABSENT, "The loss did not fall at all in a run that was long enough.", (late, update))
    sentence = "The loss had not settled when the run ended, and the steps were of a sound size."
    return Verdict(Outcome.PRESENT, sentence, (late, update))


def stop_early(setup: Setup) -> Setup:
    """Train for a twentieth of the epochs.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If there are too few epochs to cut.
    """
    if setup.epochs < FAULT / 2:
        raise RemedyError(f"{setup.epochs} epochs cannot be cut to a twentieth")
    return replace(setup, epochs=max(1, round(setup.epochs / FAULT)))


def train_longer(setup: Setup, history: History, allowance: Allowance) -> tuple[Setup, ...]:
    """Train for more epochs, as many as the time for one run allows.

    Args:
        setup: What is trained.
        history: Tells the time of the run.
        allowance: How long a run may take.

    Returns:
        One set-up a multiple, the smallest first.

    Raises:
        RemedyError: If the time allows no more epochs.
    """
    seconds = max(history.record.seconds, 1e-3)
    factors = [factor for factor in FACTORS if factor * seconds <= allowance.run_seconds]
    if not factors or history.record.stopped == "time":
        raise RemedyError("a run with three times as many epochs takes longer than the budget allows")
    return tuple(with_epochs_times(setup, factor) for factor in factors)


RULE = Rule(
    code="OPT017",
    judge=judge,
    fault=stop_early,
    remedy=Remedy("Train for more epochs.", train_longer, Applies.SAFE),
    cases=(
        Case("a single epoch where twenty are needed", lambda: patients.shells(epochs=1), Outcome.PRESENT),
        Case("twenty epochs, after which little is left to learn", patients.shells, Outcome.ABSENT),
        Case(
            "a loss that still creeps down by little when the run ends",
            lambda: patients.regression(epochs=30),
            Outcome.ABSENT,
        ),
        Case(
            "a loss that stays high because of noise in the targets",
            lambda: patients.regression(noise=0.7, epochs=20),
            Outcome.ABSENT,
        ),
    ),
    explained_by=(
        "DAT001",
        "DAT002",
        "DAT006",
        "SET002",
        "SET006",
        "OPT006",
        "OPT013",
        "OPT014",
        "OPT018",
        "MIS005",
        "GEN006",
    ),
)
