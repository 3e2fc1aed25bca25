"""Batch-norm takes its statistics from too few samples.

## What it checks
Whether batch-norm layers normalise by means and variances of batches so small that those scatter by a good part of a
standard deviation from batch to batch.

## Why it hurts
Batch-norm subtracts the mean of the batch and divides by its deviation. Of two samples, the one always comes out as
plus and the other as minus, whatever they are: what a sample is turned into depends on the one beside it, and the
network is trained on that noise. In evaluation the running statistics take the place of those of the batch, so that
the function that is used is not the one that was trained.

## How it is measured
On the trained model, in training mode and with batches as in training: for every channel, how far the means of single
batches lie from the mean of all, over the channel's deviation (1 / √B for B independent samples), the worst layer's;
and the loss on the same batches in training and in evaluation mode. The suspicion is tested by training the same
set-up from the same seeds with a group norm in place of every batch-norm, then with batch-norm on larger batches. It
is confirmed if one of them ends lower on the training data and on held-out data by at least a tenth of the span.

## Remedy
Normalise each sample by itself: group norm for images, layer norm for vectors and sequences. Or use larger batches.

## When to leave it
Convolutions on large images take many values per channel from a single sample, and bear batches of a few. A model
that is fine-tuned with its batch-norm layers in evaluation mode uses no statistics of the batch at all. Where the
gradient is noisy without batch-norm too, see batch-too-small.

## References
S. Ioffe, C. Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate shift",
2015.
Y. Wu, K. He, "Group normalization", 2018 (figure 1: the error against the batch size).
S. Ioffe, "Batch renormalization: towards reducing minibatch dependence in batch-normalized models", 2017.
"""

from __future__ import annotations

import math
from typing import Final

from torch import nn

from unstuck import patients
from unstuck.edits.batch_norms import batch_norms, without_batch_norm
from unstuck.edits.normalisation import insert_normalisation
from unstuck.edits.schedule import with_batch_size
from unstuck.errors import RemedyError
from unstuck.measure.batch_statistics import BatchStatistics
from unstuck.quantity import Quantity, Threshold, roughly
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup
from unstuck.setup.randomness import isolated

SCATTER: Final = Threshold(
    0.35,
    "standard deviations of the channel",
    "1 / √8: the error rises from batches of eight down (Wu and He 2018, figure 1)",
)

LARGER: Final = (16, 64)
FAULT_SIZE: Final = 2


def judge(statistics: BatchStatistics) -> Verdict:
    """Suspect batch-norm whose means scatter from batch to batch."""
    name = "scatter of a batch's mean / deviation of the channel, worst batch-norm layer"
    scatter = Evidence(Quantity(name, statistics.scatter, SCATTER.unit), SCATTER)
    modes = [
        Evidence(loss)
        for loss in (
            Quantity("loss of training batches by their own statistics", statistics.training_loss, "loss"),
            Quantity("loss of training batches by running statistics", statistics.evaluation_loss, "loss"),
        )
        if not math.isnan(loss.value)
    ]
    if statistics.layers == 0:
        return Verdict(Outcome.ABSENT, "No layer uses the statistics of the batch.", (scatter,))
    if math.isnan(statistics.scatter):
        return Verdict(Outcome.UNDECIDED, "The statistics of the batches are no numbers.", (scatter, *modes))
    layers = f"{statistics.layers} batch-norm layer{'s' * (statistics.layers != 1)}"
    if statistics.scatter < SCATTER.value:
        sentence = (
            f"The means by which {layers} normalise scatter by no more than {roughly(statistics.scatter)} deviations."
        )
        return Verdict(Outcome.ABSENT, sentence, (scatter, *modes))
    sentence = (
        f"The means by which {layers} normalise scatter by {roughly(statistics.scatter)} deviations from one batch of "
        f"{statistics.batch_size} to the next."
    )
    return Verdict(Outcome.PRESENT, sentence, (scatter, *modes))


def starve_batch_norm(setup: Setup) -> Setup:
    """Train on batches of two with batch-norm, which is put in where there is none.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the batches cannot be changed, or there is no place for a norm.
    """
    if setup.train.batch_size < 4 * FAULT_SIZE:
        raise RemedyError(f"batches of {setup.train.batch_size} samples are small already")
    if setup.train.size is None or setup.train.size % FAULT_SIZE:
        raise RemedyError("a last batch of one sample alone is refused by batch-norm")
    with isolated(setup.seed):
        model, _ = setup.build()
    model.train()
    changed = with_batch_size(setup if batch_norms(model) else insert_normalisation(setup), FAULT_SIZE)
    if changed.train is setup.train:
        raise RemedyError("the batches are made by a loader of the user's own")
    return changed


def mend_batch_norm(setup: Setup) -> tuple[Setup, ...]:
    """Normalise each sample by itself; or use larger batches.

    Args:
        setup: What is trained.

    Returns:
        The changed set-ups.
    """
    size = setup.train.size or 0
    sizes = [factor * setup.train.batch_size for factor in LARGER]
    larger = [each + (size % each == 1) for each in sizes if each <= size // 4]
    fixed = setup.train.with_batch_size(sizes[0]) is setup.train
    return (without_batch_norm(setup), *(() if fixed else (with_batch_size(setup, each) for each in larger)))


def _normalised() -> nn.Module:
    first, second = nn.Linear(4, 32), nn.Linear(32, 32)
    norms = nn.BatchNorm1d(32), nn.BatchNorm1d(32)
    return nn.Sequential(first, norms[0], nn.ReLU(), second, norms[1], nn.ReLU(), nn.Linear(32, 3))


def _images() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 3)
    )


RULE = Rule(
    code="OPT021",
    judge=judge,
    fault=starve_batch_norm,
    remedy=Remedy("Normalise each sample by itself, or use larger batches.", mend_batch_norm, Applies.SAFE),
    cases=(
        Case(
            "batch-norm on vectors, two samples to a batch",
            lambda: patients.shells(_normalised, batch_size=2, epochs=5),
            Outcome.PRESENT,
        ),
        Case("batch-norm on batches of 32", lambda: patients.shells(_normalised), Outcome.ABSENT),
        Case(
            "batch-norm on images, four to a batch, which hold enough places",
            lambda: patients.bars(_images, batch_size=4, epochs=6),
            Outcome.ABSENT,
        ),
        Case(
            "batches of two without batch-norm",
            lambda: patients.shells(batch_size=2, optimizer=patients.sgd(0.02), epochs=6),
            Outcome.ABSENT,
        ),
    ),
    explained_by=("DAT001", "DAT002", "SET002", "SET006"),
)
