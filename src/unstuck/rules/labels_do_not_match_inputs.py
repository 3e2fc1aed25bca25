"""The targets stand beside the wrong inputs, some places off.

## What it checks
Whether inputs and targets, which have nothing to do with each other as they are paired, do so once the targets are
shifted by some places or turned round.

## Why it hurts
Each sample teaches the answer to another one. Nothing can be learnt but the samples themselves by heart: the training
loss may fall, and on new samples the network is no better than a constant. No change of network or optimizer helps.

## How it is measured
The dependence between inputs and targets by the Hilbert-Schmidt independence criterion, in standard deviations above
its mean over 40 shuffles of the targets, from at most 256 samples. Where there is next to none, targets are shifted
by up to eight places and by a batch, either way, and reversed. The suspicion is proof if one of these alignments, and
none of the shuffles, makes targets depend on inputs: chance does not hit upon the right order. Without such an
alignment nothing is said here: then the order is lost, or there never was a signal (DAT006).

## Remedy
Shift the targets back, and find where the order was lost: a header row that was read as a sample, a window of a series
that was cut off at the other end, a list of files that was sorted anew, rows that were dropped on one side only.

## When to leave it
Where neighbouring samples are alike, as in a series, targets a place off are still told by the inputs, and the loss
bears it; then nothing is reported.

## References
A. Gretton et al., "Measuring statistical dependence with Hilbert-Schmidt norms", 2005.
A. Gretton et al., "A kernel statistical test of independence", NIPS 2007.
M. Ojala, G. Garriga, "Permutation tests for studying classifier performance", JMLR 11, 2010.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from unstuck import patients
from unstuck.edits.samples import every_split, in_memory
from unstuck.errors import RemedyError
from unstuck.measure.alignment import ALIVE, Alignment, realigned
from unstuck.measure.protocol import NotMeasurable
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Aim, Case, Remedy, Rule
from unstuck.setup import Data, Setup
from unstuck.setup.batch import replace_targets

DEPENDENT: Final = Threshold(
    10.0,
    "standard deviations of shuffled targets",
    "the bases of the benchmark have 15 to 180 where aligned, and no wrong alignment of theirs has 4",
)
OFF: Final = 1


def judge(alignment: Alignment) -> Verdict:
    """Conclude where another alignment brings back what the given one lacks."""
    given = Quantity("dependence of targets on their inputs", alignment.as_given, DEPENDENT.unit)
    if not alignment.as_given < ALIVE:
        sentence = f"Targets depend on the inputs beside them, by {alignment.as_given:.0f} deviations of chance."
        return Verdict(Outcome.ABSENT, sentence, (Evidence(given, DEPENDENT),))
    best = Quantity("dependence in the best other alignment", alignment.best, DEPENDENT.unit)
    evidence = (Evidence(best, DEPENDENT), Evidence(given, DEPENDENT))
    if alignment.input_scatter <= 0.0 or alignment.target_values < 2:
        return Verdict(Outcome.ABSENT, "All inputs or all targets are alike, so that no order matters.", evidence)
    if not alignment.best >= DEPENDENT.value:
        sentence = f"None of {alignment.tried} other alignments makes the targets depend on the inputs."
        return Verdict(Outcome.ABSENT, sentence, evidence)
    return Verdict(Outcome.PRESENT, _described(alignment), evidence, certain=True)


def _described(alignment: Alignment) -> str:
    beside = f"The targets do not depend on the inputs beside them ({alignment.as_given:.1f} deviations of chance)"
    best, places = f"{alignment.best:.0f}", abs(alignment.shift)
    s = "s" if places > 1 else ""
    if alignment.reversed and not places:
        return f"{beside}, but do in reverse order ({best} deviations)."
    if alignment.reversed and alignment.shift > 0:
        return f"{beside}, but do in reverse order, {places} place{s} earlier ({best} deviations)."
    if alignment.reversed:
        return f"{beside}, but do in reverse order, {places} place{s} later ({best} deviations)."
    if alignment.shift > 0:
        return f"{beside}, but do on those {places} place{s} earlier ({best} deviations)."
    return f"{beside}, but do on those {places} place{s} later ({best} deviations)."


def shift_targets(setup: Setup) -> Setup:
    """Move the targets of every split on by one sample."""

    def moved(data: Data) -> Data:
        rows = in_memory(data)
        targets = setup.targets(rows.samples)
        if not isinstance(targets, Tensor) or len(targets) != rows.size:
            raise RemedyError("targets must be one tensor with a row a sample")
        return rows.mapped(lambda batch: replace_targets(batch, targets.roll(OFF, 0)))

    return every_split(setup, moved)


def align(setup: Setup, alignment: Alignment) -> Setup:
    """Move the targets of every split that is out of line back to their inputs.

    Args:
        setup: What is trained.
        alignment: How the training targets are aligned.

    Returns:
        The set-up, without the samples at the ends that have lost their targets.

    Raises:
        RemedyError: If samples were held out of the training split, so that neighbours are gone.
    """
    if setup.train.size != alignment.samples:
        raise RemedyError("samples were held out of the training split; give a validation split")

    def back(data: Data) -> Data:
        rows = in_memory(data)
        try:
            found = alignment if data is setup.train else Alignment.measure(replace(setup, train=data))
        except NotMeasurable:  # too few to tell: as the training split
            found = alignment
        if found.as_given >= ALIVE or found is not alignment and not found.best >= DEPENDENT.value:
            return data
        targets = realigned(setup.targets(rows.samples), found.shift, found.reversed)
        moved = rows.mapped(lambda batch: replace_targets(batch, targets))
        lost = abs(found.shift)
        kept = torch.arange(rows.size - lost) + (lost if found.shift < 0 else 0)
        return moved.subset(kept)

    return every_split(setup, back)


def _later(values: Tensor) -> Tensor:
    return values.roll(3, 0)


def _reversed() -> Setup:
    healthy = patients.regression()

    def turned(data: Data) -> Data:
        return data.mapped(lambda batch: replace_targets(batch, healthy.targets(batch).flip(0)))

    return every_split(healthy, turned)


def _dealt(values: Tensor) -> Tensor:
    return values[torch.randperm(len(values), generator=torch.Generator().manual_seed(0))]


def _series() -> Setup:
    """A slow wave, sampled in order, and targets that come one step late: still told by their inputs."""
    times = torch.arange(800) / 20.0
    inputs = torch.stack([times.sin(), times.cos()], 1)
    targets = inputs[:, :1].roll(1, 0)
    train, validation = (inputs[:560], targets[:560]), (inputs[560:], targets[560:])
    return patients.regression(lambda: patients.perceptron(2, 24, 1), train=train, validation=validation, test=None)


RULE = Rule(
    code="SET014",
    judge=judge,
    fault=shift_targets,
    remedy=Remedy(
        "Put the targets back beside their inputs, and find where the order was lost.", align, Applies.OPT_IN
    ),
    cases=(
        Case("classes three samples late", lambda: patients.classification(targets=_later), Outcome.PRESENT),
        Case("numbers in reverse order", _reversed, Outcome.PRESENT),
        Case("classes beside their inputs", patients.classification, Outcome.ABSENT),
        Case("near miss: a series whose targets come one step late", _series, Outcome.ABSENT),
        Case(
            "near miss: targets dealt out at random, which no alignment brings back",
            lambda: patients.regression(targets=_dealt),
            Outcome.ABSENT,
        ),
    ),
    aim=Aim.HELD_OUT,
)
