"""The test inputs were prepared otherwise than the training inputs.

## What it checks
Whether the loss is much larger on the test data than on held-out samples of the training distribution, and the test
inputs can be told from the training inputs until a simple map (a scale, an offset, another order of the features or
channels) is undone.

## Why it hurts
A network knows nothing of units. Pixels from 0 to 255 where it learnt 0 to 1, inputs standardised with other
statistics, blue where it expects red: each is a place where it has never been, and its answers there mean nothing. No
change to the training helps, for the training is sound.

## How it is measured
The gap between test and held-out loss, as a share of the span from the best constant prediction, with its interval.
Where it is large, a classifier is trained to tell training inputs from test inputs, cross-validated, and maps are
fitted that may have come between the two. The suspicion is raised if after one of them inputs and targets together can
no longer be told from those of training. That the loss falls would prove little: inputs that were drawn elsewhere can
be squeezed into the shape of the training inputs, and lie where answers are easy; but their targets stay. It is tested
by undoing the map on the test inputs and scoring the same training again; it is confirmed
if the test loss falls by at least a tenth of the span.

## Remedy
Send every split through one and the same transform, with the statistics of the training split, best inside the model.
The map that was found says what to look for: a scale of 255, say, or channels in the reverse order.

## When to leave it
Test data that differ because the world does (other patients, another camera, a later year) call for other remedies; a
map that happens to fit them is no error of preparation. If the test loss is as low as the held-out one, a difference
between the inputs does no harm.

## References
D. Lopez-Paz, M. Oquab, "Revisiting classifier two-sample tests", 2017.
S. Rabanser, S. Günnemann, Z. Lipton, "Failing loudly: an empirical study of methods for detecting dataset shift", 2019.
D. Sculley et al., "Hidden technical debt in machine learning systems", 2015.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from torch import Tensor

from unstuck import patients
from unstuck.errors import RemedyError
from unstuck.measure.comparison import LARGE
from unstuck.measure.input_shift import InputShift
from unstuck.measure.two_sample import undo
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Aim, Case, Remedy, Rule
from unstuck.setup import Setup
from unstuck.setup.batch import replace_inputs, tensors

CHANCE: Final = Threshold(0.5, "area under the ROC curve", "that of guessing; Lopez-Paz and Oquab 2017")

SCALE: Final = 16.0
OFFSET: Final = 16.0


def judge(shift: InputShift) -> Verdict:
    """Suspect a simple map where the test loss is large and the inputs can be told apart."""
    name = "(test − held-out loss) / span from the best constant"
    gap = Evidence(Quantity(name, shift.gap, "1", shift.gap_low, shift.gap_high), LARGE)
    if not math.isfinite(shift.gap):
        sentence = "The run did not end in a finite loss, so its gap to the test data cannot be told."
        return Verdict(Outcome.UNDECIDED, sentence, (gap,))
    if not (shift.gap >= LARGE.value and shift.gap_low > 0.0):
        return Verdict(Outcome.ABSENT, f"The test loss is {shift.gap:.0%} of the span above the held-out loss.", (gap,))
    if math.isnan(shift.auc):
        reason = shift.reason or "no reason was given"
        sentence = f"Training and test inputs could not be compared: {reason}."
        return Verdict(Outcome.UNDECIDED, sentence, (gap,))
    area = Quantity("area under the ROC curve of telling training from test inputs", shift.auc, CHANCE.unit)
    apart = Evidence(area, CHANCE)
    if shift.auc_low <= CHANCE.value:
        return Verdict(Outcome.ABSENT, "The test inputs cannot be told from the training inputs.", (apart, gap))
    if not shift.maps:
        sentence = "The test inputs differ from the training inputs, but by no scale, offset or order of channels."
        left = Quantity("the same after the best of these, inputs and targets, lower end", shift.nearest, CHANCE.unit)
        return Verdict(Outcome.ABSENT, sentence, (apart, gap, Evidence(left, CHANCE)))
    best = min(shift.maps, key=lambda fit: fit.whole)
    after = Quantity(f"the same after undoing {best.name}, by inputs and targets", best.whole, CHANCE.unit)
    sentence = (
        f"The test loss is {shift.gap:.0%} of the span above the held-out loss, and {best.name} takes the test inputs "
        "back to the training inputs."
    )
    return Verdict(Outcome.PRESENT, sentence, (gap, apart, Evidence(after, CHANCE)))


def shift_test_inputs(setup: Setup) -> Setup:
    """Scale the test inputs by 16, and move them by 16 deviations.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up; its test split is made of the validation split where there was none.

    Raises:
        RemedyError: If there is no split to change, or no floating-point input in it.
    """
    test = setup.test if setup.test is not None else setup.validation
    if test is None:
        raise RemedyError("there is neither a test split nor a validation split to change")
    first = replace_inputs(test.head(1)[0], lambda inputs: inputs + 1.0)
    if not any(bool((new != old).any()) for new, old in zip(tensors(first), tensors(test.head(1)[0]), strict=True)):
        raise RemedyError("no input is floating-point, so there is no scale to change")

    def change(inputs: Tensor) -> Tensor:
        return SCALE * inputs + OFFSET * inputs.std()

    return replace(setup, test=test.mapped(lambda batch: replace_inputs(batch, change)))


def undo_maps(setup: Setup, shift: InputShift) -> tuple[Setup, ...]:
    """Undo each map on the test split.

    Args:
        setup: What is trained.
        shift: The maps.

    Returns:
        One set-up a map, the simplest first.

    Raises:
        RemedyError: If there is no test split, or no map.
    """
    if setup.test is None or not shift.maps:
        raise RemedyError("no map of the test inputs is known")
    found = []
    for fit in shift.maps:
        described = {**setup.described, "test inputs": f"{fit.name} undone"}
        found.append(replace(setup, test=undo(fit, setup.test), described=described))
    return tuple(found)


RULE = Rule(
    code="MIS004",
    judge=judge,
    fault=shift_test_inputs,
    remedy=Remedy("Prepare the test inputs as the training inputs.", undo_maps, Applies.SAFE),
    cases=(
        Case(
            "test inputs sixteen times as large",
            lambda: patients.shells(test_inputs=lambda inputs: 16.0 * inputs + 3.0),
            Outcome.PRESENT,
        ),
        Case("test inputs like the training inputs", patients.shells, Outcome.ABSENT),
        Case(
            "test inputs a little brighter, which does no harm",
            lambda: patients.bars(test_inputs=lambda inputs: inputs + 0.1),
            Outcome.ABSENT,
        ),
        Case(
            "a large loss on test samples that were drawn where no training sample is",
            lambda: patients.shells(test_inputs=lambda inputs: inputs.sign() * (1.0 + inputs.abs().sqrt())),
            Outcome.ABSENT,
        ),
    ),
    aim=Aim.TEST,
    explained_by=("MIS006",),
)
