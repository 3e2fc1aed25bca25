"""The classes come in other shares in the test data than in training.

## What it checks
Whether the loss is much larger on the test data than on held-out samples of the training distribution, and the classes
come in other shares there.

## Why it hurts
A classifier answers with what it sees and with what it has learnt to expect. A disease that one in two training
patients has and one in twenty of those tested is seen far too often; one that becomes common is missed. Wherever the
classes overlap, old expectations tip the balance.

## How it is measured
By the test labels where there are any, held against draws from one distribution. Without labels from the model's
answers: probabilities, calibrated on held-out samples, are refined by expectation and maximisation, and the confusion
matrix is inverted, with intervals from resampling. Where inputs differ as well, they are compared once more with the
training samples drawn in the test data's shares: if they then look alike, the shares are all that has changed. That is
the proof where, besides, held-out samples weighted to the class shares of the test data show most of the gap. Else the
trial has to give it: it estimates the shares from the inputs of one half of the test data and scores the other half.

## Remedy
Multiply each predicted probability by new share over old, and normalise: inside the model, in evaluation mode, without
training. Or train with each class in its new share, by a `WeightedRandomSampler` or by `weight=` of the loss. Once it
is proven by the evidence, train on labelled samples of the test data too: classes that training hardly has are learnt
from samples only.

## When to leave it
Other shares of classes that do not overlap do no harm. The estimate takes for granted that the inputs of each class
have stayed as they were; where they have not, it is wrong. It reads the test inputs, many at once. That is right where
answers are given for a whole batch that is at hand, such as last month's cases. It is cheating where each sample is to
be answered by itself, where a competition forbids it, or where the test set only stands for unknown ones whose shares
nobody can know. If a rare class was made frequent in the test data on purpose, judge by a score that does not depend on
the shares.

## References
M. Saerens, P. Latinne, C. Decaestecker, "Adjusting the outputs of a classifier to new a priori probabilities", 2002.
Z. Lipton, Y.-X. Wang, A. Smola, "Detecting and correcting for label shift with black box predictors", ICML 2018.
A. Alexandari, A. Kundaje, A. Shrikumar, "Maximum likelihood with bias-corrected calibration is hard-to-beat at label
shift adaptation", ICML 2020.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import numpy as np
import torch
from torch import Tensor

from unstuck import patients
from unstuck.edits.reweighting import (
    BINARY_LOGITS,
    BINARY_PROBABILITIES,
    LOG_PROBABILITIES,
    LOGITS,
    PROBABILITIES,
    joined_with,
    with_class_shares,
    with_rows,
)
from unstuck.edits.samples import in_memory
from unstuck.errors import RemedyError
from unstuck.measure.comparison import LARGE, MOST_OF_IT
from unstuck.measure.learners import quietly
from unstuck.measure.loss_form import OutputForm
from unstuck.measure.preparation import Prepared, Trained
from unstuck.measure.protocol import Unmeasured
from unstuck.measure.shift.drift import CHANCE
from unstuck.measure.shift.ratio import drawn
from unstuck.measure.shift.shares import ClassShares, Share, class_labels, shares_of
from unstuck.measure.shift.test_data import Halves, TestGap
from unstuck.measure.task import Task
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Aim, Case, Remedy, Rule
from unstuck.setup import Setup, StackedData
from unstuck.setup.randomness import isolated, one_thread

MOVED: Final = Threshold(
    0.05,
    "total variation distance of the class shares",
    "by as much the share of right answers can change at most; half of what counts as a large loss",
)

WITHIN: Final = Threshold(
    0.65,
    "area under the ROC curve, in the same shares",
    "between what faults of bench/ leave: other shares alone 0.49 to 0.60, inputs drawn elsewhere 0.91 to 0.99",
)

LEFT: Final = 0.2
"""Share that the fault leaves of some classes in training, and of the others in the test data."""

NAMED: Final = 6

FORMS: Final = {
    OutputForm.CLASS_LOGITS: LOGITS,
    OutputForm.CLASS_LOG_PROBABILITIES: LOG_PROBABILITIES,
    OutputForm.CLASS_PROBABILITIES: PROBABILITIES,
    OutputForm.BINARY_LOGITS: BINARY_LOGITS,
    OutputForm.PROBABILITIES: BINARY_PROBABILITIES,
}


def judge(gap: TestGap, shares: ClassShares | Unmeasured) -> Verdict:
    """Suspect other class shares where the test loss is large."""
    above = Evidence(
        Quantity("(test − held-out loss) / span from the best constant", gap.gap, "1", gap.low, gap.high), LARGE
    )
    if gap.labelled and not math.isfinite(gap.gap):
        sentence = "The run did not end in a finite loss, so its gap to the test data cannot be told."
        return Verdict(Outcome.UNDECIDED, sentence, (above,))
    if not gap.open:
        return Verdict(Outcome.ABSENT, f"The test loss is {gap.gap:.0%} of the span above the held-out loss.", (above,))
    if isinstance(shares, Unmeasured):
        return Verdict(Outcome.ABSENT, f"There are no class shares to speak of: {shares.reason}.", (above,))
    distance = Quantity("distance of the class shares in the test data from those in training", shares.moved)
    chance = Quantity("p-value of class shares like those in training", shares.p_value, CHANCE.unit)
    evidence = (Evidence(distance, MOVED), Evidence(chance, CHANCE), *_listed(shares))
    evidence = (above, *evidence) if gap.labelled else evidence
    if not (shares.p_value <= CHANCE.value and shares.moved >= MOVED.value):
        return Verdict(Outcome.ABSENT, "The classes come as often in the test data as in training.", evidence)
    if shares.matched_p_value <= CHANCE.value and shares.matched_area >= WITHIN.value:
        sentence = (
            "The classes come in other shares, but the inputs of each class differ too, which other shares cannot."
        )
        area = Quantity("area under the ROC curve of telling test inputs, in the same shares", shares.matched_area)
        return Verdict(Outcome.ABSENT, sentence, (Evidence(area, WITHIN), *evidence))
    if not gap.labelled:
        agree = "both ways of telling agree" if shares.agree else "the two ways of telling disagree"
        sentence = f"The answers speak for other class shares in the test data ({agree}); what that costs needs labels."
        return Verdict(Outcome.UNDECIDED, sentence, evidence)
    sentence = (
        f"The test loss is {gap.gap:.0%} of the span above the held-out loss, and {shares.moved:.0%} of the test "
        "samples belong to other classes than they would in training."
    )
    if shares.tell_it_all:
        part = Quantity(
            "share of the gap that held-out samples show in the class shares of the test data",
            shares.told,
            "1",
            shares.told_low,
            shares.told_high,
        )
        part_told = f"{min(shares.told, 1.0):.0%}"
        sentence += f" Held-out samples, weighted to the class shares of the test data, show {part_told} of the gap."
        return Verdict(Outcome.PRESENT, sentence, (*evidence, Evidence(part, MOST_OF_IT)), certain=True)
    return Verdict(Outcome.PRESENT, sentence, evidence)


def _known(one: Share) -> str:
    told = f", {one.actual:.2f} by the test labels" if math.isfinite(one.actual) else ""
    return f"{one.training:.2f} in training{told}"


def _listed(shares: ClassShares) -> tuple[Evidence, ...]:
    """The shares that moved furthest, as estimated from the answers."""
    furthest = sorted(shares.shares, key=lambda one: -abs(one.expected - one.training))[:NAMED]
    return tuple(
        Evidence(
            Quantity(
                f"share of class {one.number} in the test data, by the model's answers ({_known(one)})",
                one.expected,
                "1",
                one.low,
                one.high,
            )
        )
        for one in furthest
    )


def exchange_shares(setup: Setup) -> Setup:
    """Make half of the classes rare in training and held-out data, and the other half in the test data.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up; its test split is made of the validation split where there was none.

    Raises:
        RemedyError: If the samples are not held in memory, or have no classes.
    """
    test = setup.test if setup.test is not None else setup.validation
    if test is None:
        raise RemedyError("there is neither a test split nor a validation split to change")

    def thinned(data: StackedData, rare: bool, seed: int) -> StackedData:
        upper = class_labels(setup, data) >= middle
        drawn_out = torch.rand(data.size, generator=torch.Generator().manual_seed(seed)) < LEFT
        return data.subset((drawn_out | (upper != rare)).nonzero().flatten())

    train = in_memory(setup.train)
    labels = class_labels(setup, train)
    middle = (int(labels.max()) + 1) / 2
    held_out = None if setup.validation is None else thinned(in_memory(setup.validation), True, 2)
    return replace(setup, train=thinned(train, True, 1), validation=held_out, test=thinned(in_memory(test), False, 3))


def correct_shares(
    setup: Setup, halves: Halves, prepared: Prepared, trained: Trained, task: Task, shares: ClassShares
) -> tuple[Setup, ...]:
    """Correct the outputs for the shares told from the inputs of one half of the test data, scored on the other.

    Args:
        setup: What is trained.
        halves: Of the labelled test data; the labels of the first are not looked at.
        prepared: The set-up with its splits.
        trained: The run as given, whose answers tell the shares.
        task: Tells what the outputs are.
        shares: Tells whether other shares are all that has changed, so that labelled test samples cure nothing else.

    Returns:
        The outputs corrected, by each way of telling; training in the shares that were told; where other shares are
        all, training on labelled samples too.

    Raises:
        RemedyError: If none applies.
    """
    given = replace(setup, test=halves.scored)
    with isolated(0), one_thread(), quietly():
        prior, expected, inverted = shares_of(prepared, trained, task, halves.known)
    found: list[Setup] = []
    reason: RemedyError | None = None
    for name, told in (("expectation and maximisation", expected), ("the confusion matrix inverted", inverted)):
        ratios = np.maximum(told, 1e-3) / np.maximum(prior, 1e-3)
        try:
            found.append(with_class_shares(given, FORMS[task.output_form], ratios.tolist(), f"those told by {name}"))
        except RemedyError as error:
            reason = error
    try:
        ratios = expected / np.maximum(prior, 1e-6)
        found.append(_redrawn(given, ratios))
        if shares.tell_it_all:
            again = _redrawn(given, (1.0 + ratios) / 2.0).validation  # half of what is trained on is as it was
            says = "training samples, and as many labelled ones from the test data"
            found.append(joined_with(replace(given, validation=again), halves.known, says))
    except RemedyError as error:
        reason = error
    if not found:
        assert reason is not None  # nothing was found for a reason
        raise reason
    return tuple(found)


def _redrawn(setup: Setup, ratios: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Setup:
    train = in_memory(setup.train)

    def rows(data: StackedData) -> Tensor:
        return torch.as_tensor(drawn(ratios[class_labels(setup, data).numpy()], data.size, setup.seed))

    held_out = setup.validation
    again = rows(held_out) if isinstance(held_out, StackedData) else None
    return with_rows(setup, rows(train), "each class in the share told of the test data", again)


def _blurred() -> Setup:
    return patients.classification(inputs=lambda values: values + 0.35 * _noise(values))


def _noise(values: Tensor) -> Tensor:
    return torch.randn(values.shape, generator=torch.Generator().manual_seed(5))


def _rare_in_test(setup: Setup) -> Setup:
    return replace(setup, test=exchange_shares(setup).test)


RULE = Rule(
    code="MIS002",
    judge=judge,
    fault=exchange_shares,
    remedy=Remedy("Correct the outputs for the class shares of the test data.", correct_shares, Applies.OPT_IN),
    cases=(
        Case(
            "classes that overlap, of which other ones are rare in the test data",
            lambda: exchange_shares(_blurred()),
            Outcome.PRESENT,
        ),
        Case("classes that come as often in the test data", _blurred, Outcome.ABSENT),
        Case(
            "other shares of classes that are told apart anyway",
            lambda: _rare_in_test(patients.shells()),
            Outcome.ABSENT,
        ),
        Case(
            "test inputs of another scale, which makes the answers look like other classes",
            lambda: patients.shells(test_inputs=lambda inputs: 3.0 * inputs),
            Outcome.ABSENT,
        ),
    ),
    aim=Aim.TEST,
    explained_by=("MIS004", "MIS006", "MIS007"),
)
