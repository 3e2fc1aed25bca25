"""The validation split is too small, or of too different classes, for what is decided by it.

## What it checks
Whether the score on the validation split is so uncertain that it hardly tells a model that has learnt everything from
one that has learnt half, while the training split has samples to judge by; and whether classes are spread over the
validation split as over the training split.

## Why it hurts
Early stopping, the choice of a model and the belief in it all hang on this one number. Where its interval is as wide as
what there is to be learnt, the choices are draws. Where a class is missing, as after splitting data that are sorted by
class, the number is sure and about something else.

## How it is measured
The interval of the error over the validation samples (Wilson's for shares of wrong answers), as a share of the error of
the best constant answer there. Too wide counts only where N-fold cross-validation, which judges on the training samples
as well, would bring it below the limit. For classes, half the sum of the differences of their shares in both splits,
with the p-value of Pearson's chi-squared test.

## Remedy
Judge by N-fold cross-validation, stratified by class: `unstuck select` does. Or split again at random, with a fifth of
the samples for validation.

## When to leave it
Where samples are so few that no split is better, the interval is the price. Where the validation split is meant to
have other classes, it is a test split: pass it as `test`.

## References
E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
K. Pearson, "On the criterion that a given system of deviations from the probable …", 1900.
R. Kohavi, "A study of cross-validation and bootstrap for accuracy estimation and model selection", 1995.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import torch

from unstuck import patients
from unstuck.edits.samples import in_memory
from unstuck.errors import RemedyError
from unstuck.measure.validation_split import ValidationScore
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Aim, Case, Remedy, Rule
from unstuck.setup import Setup

TOO_WIDE: Final = Threshold(
    0.5,
    "share of the error of the best constant answer",
    "majority: the interval covers more than half of what there is to be learnt",
)

APART: Final = Threshold(
    0.25,
    "half the sum of the differences of class shares",
    "a quarter of the validation samples belong to other classes than in training; above every healthy patient",
)

BY_CHANCE: Final = Threshold(
    1e-4, "p-value", "one healthy set-up in ten thousand has such a split by chance (Pearson 1900)"
)

FEW: Final = 6


def judge(score: ValidationScore) -> Verdict:
    """Suspect a split that cannot bear what is decided by it."""
    width = (score.high - score.low) / score.constant if score.constant > 0.0 else math.nan
    everything = max(1, score.samples + score.training_samples)
    possible = width * math.sqrt(score.samples / everything)
    evidence = (
        Evidence(
            Quantity("width of the interval of the validation error / error of the best constant", width), TOO_WIDE
        ),
        Evidence(Quantity("the same by N-fold cross-validation", possible), TOO_WIDE),
        Evidence(Quantity("distance of the class shares in training and validation", score.distance), APART),
    )
    if score.distance >= APART.value and score.p_value < BY_CHANCE.value:
        sentence = (
            f"{score.distance:.0%} of the {score.samples} validation samples belong to other classes than in training, "
            "which chance does not explain."
        )
        return Verdict(Outcome.PRESENT, sentence, (evidence[2], *evidence[:2]))
    if not math.isfinite(width):
        return Verdict(Outcome.UNDECIDED, "How sure the validation score is cannot be told.", evidence)
    if width < TOO_WIDE.value:
        sentence = f"The error on {score.samples} validation samples is known to {width:.0%} of the best constant's."
        return Verdict(Outcome.ABSENT, sentence, evidence)
    if possible >= TOO_WIDE.value / 2.0:
        sentence = f"The error is known to {width:.0%} of the best constant's only, but folds would know little more."
        return Verdict(Outcome.ABSENT, sentence, evidence)
    sentence = (
        f"{score.samples} validation samples tell the error to {width:.0%} of the best constant's; folds of the "
        f"{score.training_samples} training samples would to {possible:.0%}."
    )
    return Verdict(Outcome.PRESENT, sentence, evidence)


def validate_on_a_handful(setup: Setup) -> Setup:
    """Leave the first samples of one class in the validation split, as after splitting sorted data."""
    if setup.validation is None:
        raise RemedyError("there is no validation split to cut down")
    rows = in_memory(setup.validation)
    targets = setup.targets(rows.samples)
    if targets.is_floating_point() or targets.dim() != 1:
        raise RemedyError("a split by class needs classes")
    names, counts = targets.unique(return_counts=True)
    if len(names) < 2 or int(counts.max()) < 2 * FEW:
        raise RemedyError("one class alone needs a dozen validation samples")
    common = names[counts.argmax()]
    others = (targets != common).nonzero().flatten()[:1]
    kept = torch.cat([(targets == common).nonzero().flatten(), others]).sort().values
    return replace(setup, validation=rows.subset(kept))


def _few(setup: Setup) -> Setup:
    assert setup.validation is not None  # patients have one
    return replace(setup, validation=in_memory(setup.validation).subset(torch.arange(FEW)))


RULE = Rule(
    code="GEN004",
    judge=judge,
    fault=validate_on_a_handful,
    remedy=Remedy("Judge by N-fold cross-validation, or split again at random.", None, Applies.ADVICE),
    cases=(
        Case(
            "all validation samples but one are of one class out of three",
            lambda: validate_on_a_handful(patients.classification()),
            Outcome.PRESENT,
        ),
        Case("six validation samples beside hundreds", lambda: _few(patients.classification()), Outcome.PRESENT),
        Case("enough validation samples of every class", patients.classification, Outcome.ABSENT),
        Case("numbers in place of classes", patients.regression, Outcome.ABSENT),
    ),
    aim=Aim.HELD_OUT,
    evidence_suffices=True,
)
