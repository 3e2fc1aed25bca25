"""A feature gives the targets away in training, and not in the test data.

## What it checks
Whether the loss is much larger on the test data than on held-out samples of the training distribution, and one feature
by itself tells nearly everything there that it no longer tells in the test data.

## Why it hurts
Some features hold the answer because they were written down after it was known: the ward a patient was sent to, a
running number of files sorted by class, a mean over the target. A network finds such a short cut first and looks for
nothing else. Where the model is used, the answer is not known yet, the feature is empty or means nothing, and what it
would have to do without was never learnt. Validation data from the same source have the leak as well and praise it.

## How it is measured
A small tree is grown on every feature alone and asked about held-out and test samples. The suspicion is raised if one
leaves at most a fifth of the best constant's error on held-out samples, and at least half of it on test samples. The
trial trains without that feature.

## Remedy
Leave the feature out, or give it the value that it has when the answer is not known yet. Ask of every feature when it
is written down. Split so that validation data are as far from training as the test data are.

## When to leave it
A feature that rightly tells everything, and still does where the model is used, is no leak. If it tells nothing in the
test data because of a slip in preparing them, mend the slip.

## References
S. Kaufman et al., "Leakage in data mining: formulation, detection, and avoidance", TKDD 6, 2012.
R. Geirhos et al., "Shortcut learning in deep neural networks", Nature Machine Intelligence 2, 2020.
S. Kapoor, A. Narayanan, "Leakage and the reproducibility crisis in machine-learning-based science", Patterns 4, 2023.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor

from unstuck import patients
from unstuck.edits.reweighting import without_features
from unstuck.edits.samples import in_memory
from unstuck.errors import RemedyError
from unstuck.measure.comparison import LARGE
from unstuck.measure.features import inputs_of
from unstuck.measure.protocol import Unmeasured
from unstuck.measure.shift.single import Alone, SingleFeatures
from unstuck.measure.shift.test_data import TestGap
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Aim, Case, Remedy, Rule
from unstuck.setup import Data, Setup, StackedData
from unstuck.setup.batch import replace_inputs

TELLS: Final = Threshold(
    0.2, "of the best constant's error", "four fifths of what can be told; the trial decides whether it is a leak"
)
VANISHES: Final = Threshold(
    0.5, "of the best constant's error", "majority: in the test data most of it is left to other features"
)

BLUR: Final = 0.02
"""Noise on the answer that the fault writes into a feature, over its deviation."""


def judge(gap: TestGap, single: SingleFeatures | Unmeasured) -> Verdict:
    """Suspect a feature that tells nearly everything on held-out samples and little on test samples."""
    above = Evidence(
        Quantity("(test − held-out loss) / span from the best constant", gap.gap, "1", gap.low, gap.high), LARGE
    )
    if gap.labelled and not math.isfinite(gap.gap):
        sentence = "The run did not end in a finite loss, so its gap to the test data cannot be told."
        return Verdict(Outcome.UNDECIDED, sentence, (above,))
    if not gap.labelled:
        return Verdict(Outcome.UNDECIDED, "Without test labels it cannot be told what a feature tells there.")
    if not gap.large:
        return Verdict(Outcome.ABSENT, f"The test loss is {gap.gap:.0%} of the span above the held-out loss.", (above,))
    if isinstance(single, Unmeasured):
        return Verdict(Outcome.ABSENT, f"There is no feature to be looked at by itself: {single.reason}.", (above,))
    if not single.features:
        return Verdict(Outcome.ABSENT, "There is no feature to be looked at by itself.", (above,))
    leaks = [one for one in single.features if _leaks(one)]
    shown = (leaks or list(single.features))[0]
    evidence = (
        above,
        Evidence(Quantity(f"error by feature {shown.number} alone on held-out samples", shown.held_out), TELLS),
        Evidence(Quantity(f"error by feature {shown.number} alone on test samples", shown.test), VANISHES),
    )
    if not leaks:
        sentence = "No feature by itself tells nearly everything in training and little in the test data."
        return Verdict(Outcome.ABSENT, sentence, evidence)
    sentence = (
        f"Feature {shown.number} alone leaves {shown.held_out:.0%} of the best constant's error on held-out samples, "
        f"and {shown.test:.0%} on test samples."
    )
    return Verdict(Outcome.PRESENT, sentence, evidence, (f"feature {shown.number}",))


def _leaks(one: Alone) -> bool:
    return one.held_out <= TELLS.value and one.test >= VANISHES.value


def write_answer(setup: Setup) -> Setup:
    """Write the answer into the feature that tells least of it; in the test data that feature means nothing.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up; its test split is made of the validation split where there was none.

    Raises:
        RemedyError: If there is no table of inputs in memory, or the targets are no tensor.
    """
    data = setup.test if setup.test is not None else setup.validation
    if data is None:
        raise RemedyError("there is neither a test split nor a validation split to change")
    train = in_memory(setup.train)
    inputs = _table(train)
    answers = _answers(setup, train)
    centred = (inputs - inputs.mean(0)) / inputs.std(0).clamp_min(1e-12)
    told = (centred * (answers - answers.mean()).unsqueeze(1)).mean(0).abs()
    column = int(told.argmin())
    low, spread = float(answers.mean()), float(answers.std().clamp_min(1e-12))
    middle, scale = float(inputs[:, column].mean()), float(inputs[:, column].std().clamp_min(1e-6))

    def leaking(split: Data | None, seed: int, empty: bool) -> StackedData | None:
        if split is None:
            return None
        rows = in_memory(split)
        draws = torch.Generator().manual_seed(seed)
        given = (_answers(setup, rows) - low) / spread
        if empty:
            given = given[torch.randperm(len(given), generator=draws)]
        written = middle + scale * (given + BLUR * torch.randn(len(given), generator=draws))

        def change(values: Tensor) -> Tensor:
            changed = values.clone()
            changed[:, column] = written.to(values)
            return changed

        return rows.mapped(lambda batch: replace_inputs(batch, change))

    made = leaking(train, 1, False), leaking(setup.validation, 2, False), leaking(data, 3, True)
    assert made[0] is not None  # there is always a training split
    return replace(setup, train=made[0], validation=made[1], test=made[2])


def _table(data: StackedData) -> Tensor:
    parts = inputs_of([data.samples])
    if len(parts) != 1 or parts[0].dim() != 2 or not parts[0].is_floating_point() or parts[0].shape[1] < 2:
        raise RemedyError("the inputs must be one table of numbers for a feature to give the answer away")
    return parts[0]


def _answers(setup: Setup, data: StackedData) -> Tensor:
    """The targets as one number a sample, `[N]`."""
    targets: Any = setup.targets(data.samples)
    if not isinstance(targets, Tensor):
        raise RemedyError("targets must be a tensor to be written into a feature")
    flat = targets.detach().cpu().float().reshape(len(targets), -1)
    if flat.shape[1] == 1:
        return flat[:, 0]
    if bool(((flat == 0) | (flat == 1)).all()) and bool((flat.sum(1) == 1).all()):
        return flat.argmax(1).float()
    raise RemedyError("several targets a sample do not fit into one feature")


def leave_out(setup: Setup, single: SingleFeatures) -> Setup:
    """Blind the model to the features that give the answer away.

    Args:
        setup: What is trained.
        single: What each feature tells.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If there is no such feature, or the model is never called as a whole.
    """
    leaks = [one.number for one in single.features if _leaks(one)]
    if not leaks:
        raise RemedyError("no feature gives the answer away")
    return without_features(setup, leaks, single.columns)


def _rightly(setup: Setup) -> Setup:
    """The feature holds the answer in the test data too, which are held-out ones."""
    leaking = write_answer(setup)
    return replace(leaking, test=leaking.validation)


RULE = Rule(
    code="MIS007",
    judge=judge,
    fault=write_answer,
    remedy=Remedy("Leave out the feature that gives the answer away.", leave_out, Applies.OPT_IN),
    cases=(
        Case(
            "a feature that holds the class, but for the test data",
            lambda: write_answer(patients.shells()),
            Outcome.PRESENT,
        ),
        Case("features that tell as much in the test data", patients.shells, Outcome.ABSENT),
        Case(
            "a feature that tells everything, in the test data as well",
            lambda: _rightly(patients.shells()),
            Outcome.ABSENT,
        ),
        Case(
            "test inputs of another scale, under which no feature tells what it did",
            lambda: patients.shells(test_inputs=lambda inputs: 16.0 * inputs + 3.0),
            Outcome.ABSENT,
        ),
    ),
    aim=Aim.TEST,
    explained_by=("MIS004", "MIS006"),
)
