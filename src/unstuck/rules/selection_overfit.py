"""The model was chosen among so many that its validation score proves nothing.

## What it checks
Whether the lead of the model over the best constant answer, on the validation split, is one that the luckiest of as
many useless candidates could have had as well, given how many samples they were judged on.

## Why it hurts
Each candidate that is judged on the same validation samples is one more draw: its score is its true error and a bit of
luck. Who takes the best of many takes the luckiest along with the ablest, and what the score promises is not kept on
new samples: choosing is training too, on the validation split.

## How it is measured
The number of candidates |H| is what `candidates_tried=` of `Setup.of` says, or what the log of `unstuck select` has for
exactly these validation samples. The probability that some candidate's error on n samples is further than ε from the
truth is at most 2·|H|·exp(−2nε²). ε is the lead: the share of wrong answers of the most frequent answer less that of
the model. Where the bound at this lead is 1 or more, it says nothing, and so does the score. The bound is for errors
between 0 and 1; for other tasks `unstuck select` has the bootstrap of the selection.

## Remedy
Judge by N-fold cross-validation, so that every training sample is a validation sample once, or take a larger
validation split; the evidence says how large. `unstuck select` does the former and tells by how much the best score
flatters.

## When to leave it
A score that is only used to see whether anything was learnt at all, and that test samples judge later, may be as
flattered as it is.

## References
W. Hoeffding, "Probability inequalities for sums of bounded random variables", 1963.
I. Tsamardinos, E. Greasidou, G. Borboudakis, "Bootstrapping the out-of-sample predictions for efficient and accurate
cross-validation", 2018.
R. Roelofs et al., "A meta-analysis of overfitting in machine learning", 2019.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import torch

from unstuck import patients
from unstuck.edits.samples import in_memory
from unstuck.errors import RemedyError
from unstuck.honesty import chance_of_misleading, samples_needed
from unstuck.measure.validation_split import CandidatesTried, ValidationScore
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Aim, Case, Remedy, Rule
from unstuck.setup import Setup

VACUOUS: Final = Threshold(
    1.0, "1", "a bound on a probability says nothing from 1 on (Hoeffding 1963 and the union bound)"
)

FEWEST: Final = 2
"""Candidates from which there is a choice."""

MANY: Final = 2000

LEFT: Final = int(math.log(2 * MANY) / 2)
"""Validation samples on which the bound for so many candidates says nothing, however large the lead: of 1 at most."""


def judge(tried: CandidatesTried, score: ValidationScore) -> Verdict:
    """Suspect a choice whose lead the bound does not bear."""
    lead = score.constant - score.error
    count = Quantity("candidates judged on the validation split", float(tried.candidates))
    among = f"{tried.candidates} candidates ({tried.source}) were judged on {score.samples} validation samples"
    if not score.shares or not math.isfinite(lead):
        sentence = f"{among}, but the bound is for shares of wrong answers only; `unstuck select` has another."
        return Verdict(Outcome.UNDECIDED, sentence, (Evidence(count),))
    if tried.candidates < FEWEST:
        return Verdict(Outcome.ABSENT, "One candidate was judged: nothing was chosen.", (Evidence(count),))
    if not lead > 0.0:
        sentence = f"{among}; the model is no better there than the most frequent answer, so no lead is claimed."
        return Verdict(Outcome.ABSENT, sentence, (Evidence(count),))
    lead = min(lead, 1.0)
    chance = chance_of_misleading(tried.candidates, score.samples, lead)
    needed = samples_needed(tried.candidates, lead)
    evidence = (
        Evidence(Quantity("bound on the probability that one misleads by as much as the lead", chance), VACUOUS),
        Evidence(Quantity("lead over the most frequent answer", lead)),
        Evidence(count),
        Evidence(Quantity("validation samples that such a lead needs", float(needed), "samples")),
    )
    if chance < VACUOUS.value:
        return Verdict(Outcome.ABSENT, f"{among}, whose lead of {lead:.2g} the bound bears ({chance:.2g}).", evidence)
    sentence = f"{among}: a lead of {lead:.2g} needs {needed} of them to be more than the luck of the best."
    return Verdict(Outcome.PRESENT, sentence, evidence)


def choose_among_many(setup: Setup) -> Setup:
    """Leave a handful of validation samples and judge thousands of candidates on them."""
    if setup.validation is None:
        raise RemedyError("there is no validation split to choose by")
    rows = in_memory(setup.validation)
    if rows.size <= LEFT or setup.targets(rows.samples).is_floating_point():
        raise RemedyError("choosing by shares of wrong answers needs classes, and samples to leave out")
    by_class = setup.targets(rows.samples).reshape(rows.size, -1)[:, 0].argsort(stable=True).cpu()
    spread = torch.linspace(0, rows.size - 1, LEFT).round().long()  # of one class alone, no lead could be claimed
    return replace(setup, validation=rows.subset(by_class[spread]), candidates_tried=MANY)


RULE = Rule(
    code="GEN003",
    judge=judge,
    fault=choose_among_many,
    remedy=Remedy("Judge by N-fold cross-validation, or on a larger validation split.", None, Applies.ADVICE),
    cases=(
        Case(
            "the best of two thousand candidates on four validation samples",
            lambda: choose_among_many(patients.classification()),
            Outcome.PRESENT,
        ),
        Case(
            "the only candidate, on four validation samples",
            lambda: replace(choose_among_many(patients.classification()), candidates_tried=1),
            Outcome.ABSENT,
        ),
        Case(
            "the best of two thousand candidates on enough validation samples",
            lambda: replace(patients.classification(), candidates_tried=MANY),
            Outcome.ABSENT,
        ),
    ),
    aim=Aim.HELD_OUT,
    evidence_suffices=True,
)
