"""Many training labels are wrong, and the network learns them.

## What it checks
Whether learners of other kinds, which have not seen a label, contradict it even where they are surest, and whether the
network does better on held-out samples once such labels are left out.

## Why it hurts
A network is trained to give the wrong answer as well as the right one. It learns wrong labels by heart, or, where it
cannot, it learns to be unsure of everything. Both cost on samples that are labelled rightly.

## How it is measured
Logistic regression, a kernel machine and a random forest are cross-validated on the training split, and the best
answers for all. Noise that belongs to the task sits where classes overlap, and the surest third of the answers is free
of it; wrong labels are found there too. The suspicion is raised if the share of contradicted labels among the surest
answers exceeds that of benchmarks in common use, by the lower end of its Wilson interval. It is tested by training
without the labels that confident learning names, and confirmed if the held-out loss falls by at least a tenth of the
span: samples taken away at random do not lower it, so the right ones were taken.

## Remedy
Look at the suspects, the surest first, and correct or drop them. Where that is too dear, smooth the labels, weight
them down, or stop early.

## When to leave it
Rare but right samples are contradicted too; dropping them makes the network worse in the end. Look before you drop.

## References
C. Northcutt, L. Jiang, I. Chuang, "Confident learning: estimating uncertainty in dataset labels", JAIR 70, 2021.
C. Northcutt, A. Athalye, J. Mueller, "Pervasive label errors in test sets destabilize ML benchmarks", NeurIPS 2021.
C. Zhang et al., "Understanding deep learning requires rethinking generalization", ICLR 2017.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import torch

from unstuck import patients
from unstuck.edits.samples import in_memory, only, with_wrong_targets
from unstuck.errors import RemedyError
from unstuck.measure.label_noise import LabelNoise
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Aim, Case, Remedy, Rule
from unstuck.setup import Setup
from unstuck.stats import wilson_interval

USUAL: Final = Threshold(
    0.033,
    "share of the surest answers",
    "mean share of wrong labels in the test sets of ten benchmarks in common use (Northcutt, Athalye & Mueller 2021)",
)
FLIPPED: Final = 0.3
"""Share of the labels that the fault makes wrong."""

LISTED: Final = 8
"""Suspected rows that a finding names."""


def judge(noise: LabelNoise) -> Verdict:
    """Suspect labels that are contradicted even where the answers are surest."""
    if noise.samples < 1:
        left = f"{noise.left:.0%} of the best constant's error and loss on held-out samples"
        return Verdict(Outcome.ABSENT, f"The run leaves {left}. Right labels could not gain more.")
    if noise.surest < 1:
        return Verdict(Outcome.UNDECIDED, "There are too few samples to tell wrong labels.")
    wrong = min(noise.surest_wrong, noise.surest)
    interval = wilson_interval(wrong, noise.surest)
    name = f"share of the surest third of {noise.learner}'s answers that contradict the label"
    share = Quantity.within(name, wrong / noise.surest, interval)
    evidence = (
        Evidence(share, USUAL),
        Evidence(Quantity("share of its out-of-fold answers that agree with the label", noise.accuracy)),
        Evidence(Quantity("training labels that are confidently contradicted", float(len(noise.suspects)), "labels")),
    )
    if not noise.accuracy > noise.most_frequent:
        sentence = "No learner predicts the labels better than a constant, so that none can be contradicted."
        return Verdict(Outcome.ABSENT, sentence, evidence)
    said = f"{wrong} of the surest {noise.surest} out-of-fold answers of {noise.learner} contradict the label"
    if not (interval.low > USUAL.value and noise.suspects):
        return Verdict(Outcome.ABSENT, f"{said}, which is usual.", evidence)
    rows = ", ".join(map(str, noise.suspects[:LISTED])) + (", …" if len(noise.suspects) > LISTED else "")
    sentence = f"{said}; {len(noise.suspects)} of {noise.samples} training labels are suspect."
    return Verdict(Outcome.PRESENT, sentence, evidence, (f"training rows {rows}",))


def flip_labels(setup: Setup) -> Setup:
    """Replace three in ten of the training labels by another class."""
    targets = setup.targets(in_memory(setup.train).samples)
    if not isinstance(targets, torch.Tensor) or not bool((targets == targets.round()).all()):
        raise RemedyError("targets must be classes to be flipped")
    return with_wrong_targets(setup, FLIPPED, 0.0)


def drop_suspects(setup: Setup, noise: LabelNoise) -> Setup:
    """Train without the samples whose labels are confidently contradicted.

    Args:
        setup: What is trained.
        noise: The suspects.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If there are none, or they are numbered in another split.
    """
    train = in_memory(setup.train)
    if train.size != noise.samples or not noise.suspects:
        raise RemedyError("the suspects are rows of a training split of which samples were held out")
    kept = torch.ones(train.size, dtype=torch.bool)
    kept[list(noise.suspects)] = False
    return replace(setup, train=only(train, kept))


def _blurred(values: torch.Tensor) -> torch.Tensor:
    return values + 0.4 * torch.randn(values.shape, generator=torch.Generator().manual_seed(0))


RULE = Rule(
    code="DAT005",
    judge=judge,
    fault=flip_labels,
    remedy=Remedy("Look at the suspected labels; correct or drop them.", drop_suspects, Applies.OPT_IN),
    cases=(
        Case("three in ten training labels are wrong", lambda: patients.shells(wrong=0.3), Outcome.PRESENT),
        Case("right labels", patients.shells, Outcome.ABSENT),
        Case(
            "near miss: classes that overlap, so that a fifth of the samples cannot be told",
            lambda: patients.classification(inputs=_blurred),
            Outcome.ABSENT,
        ),
    ),
    aim=Aim.HELD_OUT,
    explained_by=("SET014", "DAT006"),
)
