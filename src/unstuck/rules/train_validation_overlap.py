"""Samples that the network is trained on come back in the validation or test split.

## What it checks
Whether validation or test samples are copies of training samples, exact or nearly so, more often than training
samples are copies of each other.

## Why it hurts
A network knows the answers to what it was trained on. Scores on such samples tell its memory, not what it will do on
new ones: they look better than they are, they grow with overfitting instead of warning of it, and whatever is chosen
by them, when to stop, which rate, which network, is chosen for its memory.

## How it is measured
Every sample gets a fingerprint, and those of each split are looked up among the training samples'. Near copies lie
closer to a training sample than a tenth of what is typical between training samples, in standardised inputs. Both
shares are held against the same share within the training split, with Wilson intervals, so that data in which few
different samples are possible are not accused. The trial shows the score without the copies.

## Remedy
Leave the copies out of the validation and test splits, or split anew: first remove copies, then split, all samples of
one source (patient, video, document) to one side.

## When to leave it
Where few different inputs exist (tables of a few categories, toy problems), coincidences are natural, and no more
frequent across splits than within one. Copies that run through all the data before the split are not told from those.

## References
B. Barz, J. Denzler, "Do we train on test data? Purging CIFAR of near-duplicates", J. Imaging 6, 2020.
S. Kaufman et al., "Leakage in data mining: formulation, detection, and avoidance", TKDD 6, 2012.
E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from unstuck import patients
from unstuck.edits.samples import in_memory, only
from unstuck.errors import RemedyError
from unstuck.measure.overlap import Copies, Overlap, fingerprints, flat_rows
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Aim, Case, Remedy, Rule
from unstuck.setup import Data, Setup
from unstuck.setup.batch import concatenate, replace_inputs
from unstuck.stats import wilson_interval

MATTERS: Final = Threshold(
    0.03,
    "share of the samples beyond that within the training split",
    "the share of CIFAR-10's test images that have a copy in its training split (Barz & Denzler 2020)",
)
COPIED: Final = 0.5
"""Of a held-out split that the fault replaces by training samples."""


def judge(overlap: Overlap) -> Verdict:
    """Conclude where copies are more frequent across splits than within one."""
    if not overlap.splits:
        return Verdict(Outcome.UNDECIDED, "There is no split to compare the training samples with.")
    found = [(_beyond(copies, overlap.own), copies) for copies in overlap.splits]
    evidence = tuple(
        Evidence(Quantity(f"share of {copies.split} samples in the training split, beyond chance", beyond), MATTERS)
        for (beyond, _), copies in sorted(found, key=lambda pair: -pair[0][0])
    )
    (beyond, sure), worst = max(found, key=lambda pair: (pair[0][1], pair[0][0]))
    sentence = (
        f"Of the {worst.split} samples {_share(worst.near, worst.compared)} are exact or near copies of training "
        f"samples, and {_share(overlap.own.near, overlap.own.compared)} of the training samples are copies of each "
        "other."
    )
    if not (sure and beyond >= MATTERS.value):
        return Verdict(Outcome.ABSENT, sentence, evidence)
    rows = f"{worst.split} samples, rows {', '.join(map(str, worst.first_rows))}"
    return Verdict(Outcome.PRESENT, sentence, evidence, (rows,) if worst.first_rows else ())


def _beyond(copies: Copies, own: Copies) -> tuple[float, bool]:
    """The larger excess of exact and of near copies, and whether it lies beyond both intervals."""
    pairs = (
        (copies.exact, copies.samples, own.exact, own.samples),
        (copies.near, copies.compared, own.near, own.compared),
    )
    excesses = []
    for there, of, here, among in pairs:
        if of < 1 or among < 1:
            continue
        sure = wilson_interval(min(there, of), of).low > wilson_interval(min(here, among), among).high
        excesses.append((sure, min(there, of) / of - min(here, among) / among))
    sure, beyond = max(excesses, default=(False, 0.0))
    return beyond, sure


def _share(count: int, of: int) -> str:
    return "0%" if count < 1 or of < 1 else f"{min(1.0, count / of):.1%}"


def copy_into_held_out(setup: Setup) -> Setup:
    """Replace half of the validation and the test split by training samples."""
    if setup.validation is None and setup.test is None:
        raise RemedyError("there is neither a validation split nor a test split to copy into")
    train = in_memory(setup.train)

    def mixed(data: Data | None, seed: int) -> Data | None:
        if data is None:
            return None
        rows = in_memory(data)
        count = min(train.size, round(COPIED * rows.size))
        taken = torch.randperm(train.size, generator=torch.Generator().manual_seed(seed))[:count]
        parts = [train.subset(taken).samples, rows.subset(torch.arange(count, rows.size)).samples]
        return replace(rows, samples=concatenate(parts))

    return replace(setup, validation=mixed(setup.validation, 1), test=mixed(setup.test, 2))


def without_copies(setup: Setup) -> Setup:
    """Leave exact copies of training samples out of the validation and the test split.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up; a split of which most are copies is kept, for little would be left.

    Raises:
        RemedyError: If there are no exact copies that can be left out.
    """
    keys = fingerprints(flat_rows(in_memory(setup.train)))
    reason = RemedyError("the copies are not exact; split anew, all samples of one source to one side")
    changed: dict[str, Data] = {}
    for name, data in (("validation", setup.validation), ("test", setup.test)):
        if data is None:
            continue
        copied = torch.isin(fingerprints(flat_rows(in_memory(data))), keys)
        if not bool(copied.any()):
            continue
        try:
            changed[name] = only(data, ~copied)
        except RemedyError as error:
            reason = error
    if not changed:
        raise reason
    return replace(setup, **changed)  # type: ignore[arg-type]


def _with_noisy_copies(setup: Setup) -> Setup:
    def noisy(values: Tensor) -> Tensor:
        return values + 1e-3 * torch.randn(values.shape, generator=torch.Generator().manual_seed(0))

    copies = in_memory(setup.train).subset(torch.arange(patients.HELD_OUT))
    return replace(setup, test=copies.mapped(lambda batch: replace_inputs(batch, noisy)))


def _in_whole_numbers(values: Tensor) -> Tensor:
    return values.round().clamp(-1.0, 1.0)


RULE = Rule(
    code="DAT008",
    judge=judge,
    fault=copy_into_held_out,
    remedy=Remedy("Leave copies of training samples out of the other splits.", without_copies, Applies.SAFE),
    cases=(
        Case(
            "half of the held-out samples are training samples",
            lambda: copy_into_held_out(patients.classification()),
            Outcome.PRESENT,
        ),
        Case(
            "near copies: training samples with a little noise make up the test split",
            lambda: _with_noisy_copies(patients.shells()),
            Outcome.PRESENT,
        ),
        Case("samples of their own in every split", patients.classification, Outcome.ABSENT),
        Case(
            "near miss: coarse inputs, of which only 27 differ",
            lambda: patients.regression(inputs=_in_whole_numbers),
            Outcome.ABSENT,
        ),
    ),
    aim=Aim.HELD_OUT,
    evidence_suffices=True,
)
