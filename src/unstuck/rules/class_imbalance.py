"""A class is so rare that the network gives up on it.

## What it checks
Whether a class that is much rarer than the others is hardly ever answered, on training and held-out samples alike, and
whether it is found once every class counts the same.

## Why it hurts
Where one sample in a hundred belongs to a class, always answering another one is right 99 times. The loss is the sum
over samples, so the frequent classes fill the gradient, and the network learns their share first. Accuracy and loss
look well while the one class that was asked for is never found.

## How it is measured
The recall of each class that has less than half of its even share, on both splits, from the run as given. The trial
draws the samples of each class equally often, at the same number of steps, and compares the balanced error on held-out
samples: the mean over classes of the share that is answered wrongly.

## Remedy
Draw rare classes more often (`WeightedRandomSampler`), or weight them in the loss (`weight=` of `CrossEntropyLoss`,
`pos_weight=` of `BCEWithLogitsLoss`). Judge by recall or balanced accuracy, not by accuracy.

## When to leave it
A class that is rare and clear is found all the same, and nothing is reported. Where a false alarm costs more than a
miss, or probabilities are wanted, the classes as they occur are right.

## References
N. Japkowicz, S. Stephen, "The class imbalance problem: a systematic study", Intelligent Data Analysis 6, 2002.
M. Buda, A. Maki, M. Mazurowski, "A systematic study of the class imbalance problem in CNNs", Neural Networks 106, 2018.
K. Brodersen et al., "The balanced accuracy and its posterior distribution", ICPR 2010.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from unstuck import patients
from unstuck.edits.samples import in_memory
from unstuck.errors import RemedyError
from unstuck.measure.class_recall import ClassRecall, Recall
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Aim, Case, Remedy, Rule
from unstuck.setup import Setup

RARE: Final = Threshold(0.5, "of an even share", "half as many samples as with all classes alike; the trial decides")
GIVEN_UP: Final = Threshold(
    0.5, "recall", "majority: more samples of the class are taken for another one than for their own, training and not"
)
FEWEST: Final = 3
"""Held-out samples of a class from which on its recall says anything."""

LEFT: Final = 0.1
"""Share of the rarest class that the fault leaves."""

KEPT: Final = 8
"""Samples that the fault leaves of it at least."""

MOST_CLASSES: Final = 64
"""Different targets above which whole numbers are counts rather than classes."""


def judge(recall: ClassRecall) -> Verdict:
    """Suspect a rare class that is missed more often than found."""
    if len(recall.training) < 2 or len(recall.held_out) != len(recall.training):
        return Verdict(Outcome.ABSENT, "There are not two classes that both splits have.")
    even = 1.0 / len(recall.training)
    rare = [
        (one, other)
        for one, other in zip(recall.training, recall.held_out, strict=True)
        if one.share < RARE.value * even and other.count >= FEWEST and one.count
    ]
    least = recall.training[0]
    rarest = Evidence(Quantity(f"share of class {least.number} / even share", least.share / even), RARE)
    if not rare:
        sentence = f"The rarest class, {least.number}, has {least.share:.1%} of the training samples."
        return Verdict(Outcome.ABSENT, sentence, (rarest,))
    one, other = min(rare, key=lambda pair: _found(pair[1]))
    evidence = (
        Evidence(Quantity(f"held-out recall of class {one.number}", _found(other)), GIVEN_UP),
        Evidence(Quantity(f"training recall of class {one.number}", _found(one)), GIVEN_UP),
        rarest,
    )
    sentence = (
        f"Class {one.number} has {one.share:.1%} of the training samples, and {_found(other):.0%} of its held-out ones "
        "are found."
    )
    if _found(one) < GIVEN_UP.value and _found(other) < GIVEN_UP.value:
        return Verdict(Outcome.PRESENT, sentence, evidence, (f"class {one.number}",))
    return Verdict(Outcome.ABSENT, sentence, evidence)


def _found(recall: Recall) -> float:
    return min(1.0, recall.found / recall.count) if recall.count else 0.0


def thin_out(setup: Setup) -> Setup:
    """Leave one in ten of the training samples of the last class."""
    train = in_memory(setup.train)
    labels = _labels(setup, train.samples)
    last = labels == labels.max()
    kept = max(KEPT, round(LEFT * int(last.sum())))
    chosen = last.nonzero().flatten()
    if kept >= len(chosen):
        raise RemedyError("too few samples have the last class to leave some out")
    order = torch.randperm(len(chosen), generator=torch.Generator().manual_seed(0))
    rows = torch.cat([(~last).nonzero().flatten(), chosen[order[:kept]]])
    return replace(setup, train=train.subset(rows.sort().values))


def draw_evenly(setup: Setup) -> Setup:
    """Let every class have the same number of training samples: those of rare classes come several times.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up, with as many samples, and so as many steps, as before.

    Raises:
        RemedyError: If the samples are not held in memory, or have no classes.
    """
    train = in_memory(setup.train)
    _, place, counts = _labels(setup, train.samples).unique(return_inverse=True, return_counts=True)
    draws = torch.Generator().manual_seed(setup.seed)
    each = -(-train.size // len(counts))
    rows = []
    for number in range(len(counts)):
        own = (place == number).nonzero().flatten()
        own = own[torch.randperm(len(own), generator=draws)]
        rows.append(own.repeat(-(-each // len(own)))[:each])
    described = {**setup.described, "sampling": "every class equally often"}
    return replace(setup, train=train.subset(torch.cat(rows)), described=described)


def _labels(setup: Setup, samples: object) -> Tensor:
    targets = setup.targets(samples)
    if not isinstance(targets, Tensor) or not bool((targets == targets.round()).all()):
        raise RemedyError("targets must be classes")
    labels = targets.detach().cpu()
    if labels.dim() > 1 and labels.shape[1] > 1:
        labels = labels.argmax(1)
    labels = labels.reshape(len(labels), -1)[:, 0]
    if len(labels.unique()) > MOST_CLASSES:
        raise RemedyError("targets must be classes; these take too many values")
    return labels


RULE = Rule(
    code="DAT004",
    judge=judge,
    fault=thin_out,
    remedy=Remedy("Draw every class equally often, or weight rare classes in the loss.", draw_evenly, Applies.OPT_IN),
    cases=(
        Case(
            "one class of which one sample in ten is left",
            lambda: thin_out(patients.classification()),
            Outcome.PRESENT,
        ),
        Case("classes of like size", patients.classification, Outcome.ABSENT),
        Case(
            "near miss: a class that is as rare, and clear",
            lambda: thin_out(patients.shells(epochs=60)),
            Outcome.ABSENT,
        ),
    ),
    aim=Aim.BALANCED,
    explained_by=("DAT006", "SET014"),
)
