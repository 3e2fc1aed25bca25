"""Samples come in an order in which neighbours have like targets, and it is never shuffled.

## What it checks
Whether the batches of one pass differ in their targets by more than batches in random order do: classes one after the
other, numbers in rising order, one recording after the other.

## Why it hurts
Stochastic gradient descent takes each batch for a fair draw of the data. Where a batch holds one class only, its
gradient says "answer this, whatever comes", and the next class undoes it. The network chases the last batches; batch
normalisation sees statistics of a single class; and the model that is left at the end knows best what came last.

## How it is measured
Share of the targets' variance that lies between the batches of the first pass, against the same for samples in random
order, and in standard deviations of it. The trial draws the order anew every epoch.

## Remedy
`shuffle=True` in the `DataLoader`; for an iterable data set a large shuffle buffer, or files that are shuffled once.

## When to leave it
Batches that hold thousands of samples, or almost all, are fair draws in any order. Where state is carried from batch
to batch the order is needed. Data in order that train as well as shuffled ones are cleared by the comparison.

## References
Y. Bengio, "Practical recommendations for gradient-based training of deep architectures", 2012, section 3.1.
L. Bottou, "Curiously fast convergence of some stochastic gradient descent algorithms", 2009 (order against shuffling).
R. A. Fisher, "Statistical methods for research workers", 1925 (variance between and within groups).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from torch import Tensor

from unstuck import patients
from unstuck.edits.samples import in_memory
from unstuck.errors import RemedyError
from unstuck.measure.sample_order import MOST_CLASSES, SampleOrder
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup
from unstuck.setup.data import LoadedData

ALIKE: Final = Threshold(
    0.1,
    "share of the targets' variance beyond chance",
    "intraclass correlation at which a batch of 32 tells as much as 8 independent samples (Kish 1965: 1 + (n − 1) ρ)",
)
CHANCE: Final = Threshold(6.0, "standard deviations of random orders", "twice the usual three: batches are many")


def judge(order: SampleOrder) -> Verdict:
    """Suspect batches that are more alike inside than chance makes them."""
    rest = 1.0 - order.chance
    beyond = (order.share - order.chance) / rest if rest > 0.0 else 0.0
    name = "share of the targets' variance that lies between batches, beyond that of random order"
    evidence = (
        Evidence(Quantity(name, beyond), ALIKE),
        Evidence(Quantity("the same in deviations of random orders", order.deviations), CHANCE),
    )
    if order.batches < 2:
        return Verdict(Outcome.ABSENT, "All samples come in one batch, so that their order does not matter.", evidence)
    drawn = "drawn anew every epoch" if order.shuffled else "the same in every epoch"
    share = f"{max(0.0, beyond):.0%} of the targets' variance lies between batches beyond chance"
    if not (beyond >= ALIKE.value and order.deviations >= CHANCE.value):
        return Verdict(Outcome.ABSENT, f"The order is {drawn}, and {share}.", evidence)
    return Verdict(Outcome.PRESENT, f"The order is {drawn}, and {share}: batches are no fair draws.", evidence)


def sort_by_class(setup: Setup) -> Setup:
    """Sort the training samples by class, and keep that order in every epoch."""
    train = in_memory(setup.train)
    if train.batches_per_epoch < 2:
        raise RemedyError("all samples are in one batch, whatever their order")
    targets = setup.targets(train.samples)
    if isinstance(targets, Tensor) and len(targets.unique()) > MOST_CLASSES:
        raise RemedyError("numbers in rising order do little harm: the next batch is much like the last")
    return _sorted(setup)


def _sorted(setup: Setup) -> Setup:
    train = in_memory(setup.train)
    targets = setup.targets(train.samples)
    if not isinstance(targets, Tensor) or len(targets) != train.size:
        raise RemedyError("targets must be one tensor with a row a sample")
    key = targets.detach().cpu().reshape(train.size, -1)[:, 0]
    return replace(setup, train=replace(train.subset(key.argsort(stable=True)), shuffled=False))


def shuffle(setup: Setup) -> Setup:
    """Draw the order of the training samples anew every epoch."""
    train = setup.train
    if train.shuffled:
        raise RemedyError("the order is drawn anew every epoch as it is")
    if isinstance(train, LoadedData) and train.shuffle is not None:
        return replace(setup, train=train.in_random_order())
    return replace(setup, train=replace(in_memory(train), shuffled=True))


def _in_random_order() -> Setup:
    healthy = patients.classification()
    return replace(healthy, train=replace(in_memory(healthy.train), shuffled=False))


RULE = Rule(
    code="SET019",
    judge=judge,
    fault=sort_by_class,
    remedy=Remedy("Shuffle the training samples every epoch.", shuffle, Applies.SAFE),
    cases=(
        Case(
            "one class after the other, in every epoch",
            lambda: sort_by_class(patients.classification()),
            Outcome.PRESENT,
        ),
        Case("shuffled every epoch", patients.classification, Outcome.ABSENT),
        Case("near miss: never shuffled, but in no order", _in_random_order, Outcome.ABSENT),
        Case(
            "near miss: sorted, and one batch holds all of them",
            lambda: _sorted(patients.regression(batch_size=320)),
            Outcome.ABSENT,
        ),
    ),
)
