"""Nothing in the inputs tells the targets, for any learner.

## What it checks
Whether the targets can be predicted from the inputs at all: by the network as given, by the same network trained
robustly, and by learners of quite other kinds.

## Why it hurts
Where inputs and targets have nothing to do with each other, whatever is learnt is the noise of the training samples.
The training loss may go down to nothing, which is memory; on new samples the network is no better than a constant.
Rates, layers and regularisation are tried in vain: the needle is not in this haystack.

## How it is measured
Linear models, boosted trees and a small robust network are trained on the same samples and scored on held-out ones,
beside the run as given and its robust copy. Their error is held against 1, that of the best constant prediction, with
its interval; and that of the linear model against nineteen trainings on shuffled targets, where there is nothing to
find. Few training samples may hide a signal from all of them, so learners are also taught on four fifths of all
labelled samples, held-out and test samples too, and asked about the rest: if that finds something, the inputs do tell
the targets, and more samples would show it. Where there are too few held-out samples to exclude a skill of note,
nothing is said.

## Remedy
Look at the data, not at the network: check that inputs and targets are still in the same order after loading,
shuffling and joining; that the targets are what they should be; and whether an expert could tell them from these
inputs. If not, measure something else.

## When to leave it
Weak effects exist: returns, tastes and rare events are predictable by a little, and need far more held-out samples to
show it. Where the inputs need a very special model (a parity, a cipher), other learners find nothing either.

## References
Ojala & Garriga, "Permutation tests for studying classifier performance", JMLR 11, 2010 (shuffled targets).
Cohen, "Statistical power analysis for the behavioral sciences", 2nd edition, 1988 (what effect counts as large).
Zhang et al., "Understanding deep learning requires rethinking generalization", ICLR 2017 (memory of random labels).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import torch

from unstuck.errors import RemedyError
from unstuck.measure.signal import Signal, Skill
from unstuck.patients import classification, regression
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Aim, Case, Remedy, Rule
from unstuck.setup import Batch, Data, Setup
from unstuck.setup.batch import length, replace_targets, split_batch

SKILL: Final = Threshold(
    0.26,
    "share of the error of the best constant prediction",
    "a large effect by Cohen 1988 (R² of 0.26): what must be excluded before there is said to be none",
)
CHANCE: Final = Threshold(0.05, "probability", "the usual level; Ojala & Garriga 2010")
ONE_SIDED: Final = 1.645
BOTH_SIDED: Final = 1.96
"""Standard errors of a normal estimate that leave out 5 % of it, on one side and on both."""


def judge(signal: Signal) -> Verdict:
    """Conclude where no learner beats chance, and a skill of note is excluded."""
    if not signal.skills:
        return Verdict(Outcome.UNDECIDED, "No learner could be scored on held-out samples.")
    best = min(signal.skills, key=lambda skill: skill.pooled_error)
    surest = min(signal.skills, key=lambda skill: skill.error)
    error = Evidence(_error(best))
    if any(skill.beats_chance for skill in signal.skills):
        who = _capital(surest.name)
        sentence = f"{who} leaves {surest.error:.0%} of the best constant's error on held-out samples."
        return Verdict(Outcome.ABSENT, sentence, (Evidence(_error(surest)),))
    possible = Quantity("largest skill of any learner that the samples leave possible", _most(best))
    as_good = sum(not null > signal.linear_error for null in signal.null_errors)
    chance = (1.0 + as_good) / (1.0 + len(signal.null_errors))
    luck = Quantity("share of trainings on shuffled targets that do as well", chance)
    evidence = (error, Evidence(possible, SKILL), Evidence(luck, CHANCE))
    if not possible.value < SKILL.value:
        sentence = "No learner beats a constant, but there are too few held-out samples to exclude that one could."
        return Verdict(Outcome.UNDECIDED, sentence, evidence)
    if chance <= CHANCE.value or surest.error + BOTH_SIDED * surest.standard_error < 1.0:
        sentence = "No learner clearly beats a constant, but shuffled targets are harder: there may be a weak signal."
        return Verdict(Outcome.UNDECIDED, sentence, evidence)
    sentence = (
        f"None of {len(signal.skills)} learners beats a constant on held-out samples (the best, {best.name}, has "
        f"{best.pooled_error:.0%} of its error), and shuffled targets are learnt no worse."
    )
    return Verdict(Outcome.PRESENT, sentence, evidence)


def _error(skill: Skill) -> Quantity:
    half = BOTH_SIDED * skill.pooled_standard_error
    name = f"held-out error of {skill.name} / that of the best constant"
    return Quantity(name, skill.pooled_error, "1", skill.pooled_error - half, skill.pooled_error + half)


def _most(skill: Skill) -> float:
    return 1.0 - (skill.pooled_error - ONE_SIDED * skill.pooled_standard_error)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def shuffle_targets(setup: Setup) -> Setup:
    """Deal the targets of every split out to other inputs."""

    def dealt(data: Data, seed: int) -> Data:
        size = data.size
        if not hasattr(data, "samples") or size is None or size < 2:
            raise RemedyError("the samples must be held in memory to be dealt out anew")
        order = torch.randperm(size, generator=torch.Generator().manual_seed(seed))

        def change(batch: Batch) -> Batch:
            targets = split_batch(batch)[2]
            if length(batch) != size or not isinstance(targets, torch.Tensor):
                raise RemedyError("targets must be one tensor to be dealt out anew")
            return replace_targets(batch, targets[order.to(targets.device)])

        return data.mapped(change)

    return replace(
        setup,
        train=dealt(setup.train, 1),
        validation=None if setup.validation is None else dealt(setup.validation, 2),
        test=None if setup.test is None else dealt(setup.test, 3),
    )


RULE = Rule(
    code="DAT006",
    judge=judge,
    fault=shuffle_targets,
    remedy=Remedy(
        "Check that inputs and targets belong together; if they do, look for inputs that tell the targets.",
        None,
        Applies.ADVICE,
    ),
    cases=(
        Case("classes dealt out at random", lambda: shuffle_targets(classification()), Outcome.PRESENT),
        Case("numbers dealt out at random", lambda: shuffle_targets(regression()), Outcome.PRESENT),
        Case("classes that the inputs tell", classification, Outcome.ABSENT),
        Case(
            "near miss: half of all labels are wrong, and the other half is learnt",
            lambda: classification(noise=0.5),
            Outcome.ABSENT,
        ),
        Case(
            "near miss: a network that learns nothing from inputs that tell the targets",
            lambda: classification(optimizer=lambda parameters: torch.optim.SGD(parameters, 1e-6)),
            Outcome.ABSENT,
        ),
    ),
    aim=Aim.HELD_OUT,
    explained_by=("SET014",),
    evidence_suffices=True,
)
