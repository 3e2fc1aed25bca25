"""Augmentation takes the training inputs to where no test input is.

## What it checks
Whether the loss is much larger on the test data than on the training data, the training inputs are drawn anew at each
reading (augmented) and can be told from the test inputs, and training samples that are read through the transform of
the test data can not.

## Why it hurts
Augmentation pays where it makes the training inputs stand for more of those that come when the model is used. Where it
is so strong that none of these is among them any more (always brighter, always cropped, always turned), the network
learns to answer about inputs that never come, and has to guess about those that do. A held-out part of the augmented
data does not show it.

## How it is measured
The first batch is read twice in the same order; if its inputs differ, they are drawn. A classifier, the moments of
every feature, their distribution functions and a kernel are asked whether the test inputs differ from the training
inputs as drawn, and from training samples read through the test data's transform, which torchvision's data sets keep in
their attribute `transform`. If only the former do, it is the transform and nothing else. The trial trains with the test
data's transform for half of the samples, and for all of them.

## Remedy
Weaker augmentation: leave half of the samples, or all, as the test data are; draw strengths from a range that begins at
none. Where augmentation is wanted nevertheless, augment test inputs as well and average the answers over several draws.

## When to leave it
Augmented inputs need not look like test inputs to be of use: mixtures of images and erased patches do not, and help. It
counts only where the test loss is large and falls with weaker augmentation.

## References
C. Shorten, T. Khoshgoftaar, "A survey on image data augmentation for deep learning", 2019.
H. Touvron et al., "Fixing the train-test resolution discrepancy", 2019.
R. Gontijo-Lopes et al., "Tradeoffs in data augmentation: an empirical study", ICLR 2021.
"""

from __future__ import annotations

import math
from typing import Final

from unstuck import patients
from unstuck.edits.alternatives import applicable
from unstuck.edits.transforms import HALF, through_transform_of, with_strong_augmentation
from unstuck.errors import RemedyError
from unstuck.measure.comparison import LARGE
from unstuck.measure.shift.drawn_inputs import DrawnInputs
from unstuck.measure.shift.drift import CHANCE
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Aim, Case, Remedy, Rule
from unstuck.setup import Setup

LEFT: Final = Threshold(
    0.5, "share of the area above one half", "majority: most of what tells the inputs apart is the transform's"
)

CONTRAST: Final = 4.0
BRIGHTNESS: Final = 4.0


def judge(inputs: DrawnInputs) -> Verdict:
    """Suspect augmentation without which training inputs look like test inputs, where the test loss is large."""
    name = "(test − training loss) / span from the best constant"
    above = Evidence(Quantity(name, inputs.gap, "1", inputs.low, inputs.high), LARGE)
    if not inputs.drawn:
        return Verdict(Outcome.ABSENT, "The training inputs are the same at each reading: nothing augments them.")
    if not math.isfinite(inputs.gap):
        sentence = "The run did not end in a finite loss, so its gap to the test data cannot be told."
        return Verdict(Outcome.UNDECIDED, sentence, (above,))
    if not (inputs.gap >= LARGE.value and inputs.low > 0.0):
        sentence = f"The test loss is {inputs.gap:.0%} of the span above the training loss."
        return Verdict(Outcome.ABSENT, sentence, (above,))
    differ = Evidence(Quantity("p-value of test inputs like the augmented training inputs", inputs.p_value), CHANCE)
    area = Quantity("area under the ROC curve of telling them apart", inputs.area)
    if inputs.p_value > CHANCE.value:
        return Verdict(Outcome.ABSENT, "The augmented training inputs look like test inputs.", (differ, above))
    if not math.isfinite(inputs.plain_area):
        reason = inputs.reason or "no reason was given"
        sentence = f"What the training inputs would be without augmentation is not known: {reason}."
        return Verdict(Outcome.UNDECIDED, sentence, (differ, above))
    left = (inputs.plain_area - 0.5) / max(inputs.area - 0.5, 1e-9)
    share = Evidence(Quantity("share of that area above one half left without augmentation", left, LEFT.unit), LEFT)
    evidence = (above, differ, Evidence(area), share)
    if inputs.plain_p_value <= CHANCE.value and left >= LEFT.value:
        sentence = "Training samples differ from test samples also where they are not augmented."
        return Verdict(Outcome.ABSENT, sentence, evidence)
    sentence = (
        f"The test loss is {inputs.gap:.0%} of the span above the training loss, and the training inputs differ from "
        "test inputs by their augmentation only."
    )
    return Verdict(Outcome.PRESENT, sentence, evidence)


def augment_away(setup: Setup) -> Setup:
    """Make every training input brighter and richer in contrast, by two to four times, drawn anew at each reading."""
    return with_strong_augmentation(setup, CONTRAST, BRIGHTNESS)


def weaken(setup: Setup) -> tuple[Setup, ...]:
    """Read half of the training samples, or all of them, through the transform of the test data.

    Args:
        setup: What is trained.

    Returns:
        Both set-ups.

    Raises:
        RemedyError: If there are no test data, or either transform is not known.
    """
    test = setup.test
    if test is None:
        raise RemedyError("no test data were given")
    return applicable(setup, lambda given: through_transform_of(given, test, HALF), _as_test)


def _as_test(setup: Setup) -> Setup:
    assert setup.test is not None  # asked above
    return through_transform_of(setup, setup.test, 1.0)


def _mildly(setup: Setup) -> Setup:
    """Contrast and brightness that are drawn between half of and all of what they are, or none."""
    return with_strong_augmentation(setup, 1.3, 0.2)


RULE = Rule(
    code="MIS006",
    judge=judge,
    fault=augment_away,
    remedy=Remedy("Augment the training inputs less: as the test inputs are.", weaken, Applies.SAFE),
    cases=(
        Case(
            "training inputs that are always two to four times as bright as the test inputs",
            lambda: augment_away(patients.shells(epochs=12)),
            Outcome.PRESENT,
        ),
        Case("inputs that nothing augments", patients.shells, Outcome.ABSENT),
        Case(
            "near miss: contrast and brightness drawn about what they are",
            lambda: _mildly(patients.shells(epochs=12)),
            Outcome.ABSENT,
        ),
    ),
    aim=Aim.TEST,
)
