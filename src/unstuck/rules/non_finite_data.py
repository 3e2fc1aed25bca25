"""The data hold NaN or infinite values that reach the loss.

## What it checks
Whether a number of the inputs or targets is NaN or infinite, in any split, and whether the loss of such samples is.

## Why it hurts
One NaN makes the loss of its batch NaN, that makes every gradient NaN, and after one step every weight. From then on
the network is lost, whatever comes. In the validation or test split the training is sound, but no score can be told.

## How it is measured
Every sample in memory is looked at (2000 of a split that is read through a loader). An untrained copy of the network
is then shown samples with such values: where their loss is finite, the program deals with gaps itself, and nothing is
reported. Masks made of 0 and minus infinity are no gaps.

## Remedy
Find out where the values come from: a division by a deviation of zero, the logarithm of zero, an empty field of a
table. Fill the gaps with the column's mean over the training split, in every split alike, or leave those samples out.

## When to leave it
Where the network or the loss masks missing values on purpose, their loss is finite, and nothing is reported.

## References
Little & Rubin, "Statistical analysis with missing data", 3rd edition, 2019 (deletion, and imputation by the mean).
IEEE Std 754, "Floating-point arithmetic", 2019 (NaN goes on through every operation).
"""

from __future__ import annotations

import math
from functools import partial
from typing import Final

import torch
from torch import Tensor, nn

from unstuck import patients
from unstuck.edits.samples import every_split, in_memory, only
from unstuck.errors import RemedyError
from unstuck.measure.non_finite import Gaps, NonFinite, bad_rows, is_missing
from unstuck.quantity import Quantity
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Batch, Data, Setup
from unstuck.setup.batch import floating_inputs, replace_each_input, replace_inputs

LOST: Final = 0.01
"""Share of the numbers that the fault makes NaN."""


def judge(found: NonFinite) -> Verdict:
    """Conclude where such values reach the loss."""
    if not found.gaps:
        return Verdict(Outcome.ABSENT, "All numbers of inputs and targets are finite.")
    evidence = tuple(
        Evidence(Quantity(f"share of the {gaps.split} {gaps.part} that is NaN or infinite", gaps.share))
        for gaps in found.gaps
    )
    where = tuple(_where(gaps) for gaps in found.gaps)
    worst = max(found.gaps, key=lambda gaps: (gaps.rows, gaps.split))
    sentence = f"{worst.rows} of {worst.looked_at} {worst.split} samples hold {worst.part} that are NaN or infinite"
    if not found.reaches_loss:
        return Verdict(Outcome.ABSENT, f"{sentence}, but their loss is finite: the program masks them.", evidence)
    return Verdict(Outcome.PRESENT, f"{sentence}. The first are in {_where(worst)}.", evidence, where)


def _where(gaps: Gaps) -> str:
    """Such as "validation inputs, rows 3, 4, …, columns 1"."""
    rows = ", ".join(map(str, gaps.first_rows)) + ", …" * (gaps.rows > len(gaps.first_rows))
    columns, is_one = ", ".join(map(str, gaps.columns)), len(gaps.first_rows) == 1
    if not columns:
        return f"{gaps.split} {gaps.part}, row{'' if is_one else 's'} {rows}"
    s = "" if len(gaps.columns) == 1 else "s"
    return f"{gaps.split} {gaps.part}, row{'' if is_one else 's'} {rows}, column{s} {columns}"


def lose_values(setup: Setup) -> Setup:
    """Make one number in a hundred of the floating-point inputs NaN, in every split."""
    if not floating_inputs(setup.train.head(1)[0]):
        raise RemedyError("no input is floating-point, so none can be NaN")

    def change(values: Tensor) -> Tensor:
        draws = torch.rand(values.shape, generator=torch.Generator().manual_seed(values.numel()))
        return values.masked_fill((draws < LOST).to(values.device), math.nan)

    return every_split(setup, lambda data: in_memory(data).mapped(lambda batch: replace_inputs(batch, change)))


def fill_or_drop(setup: Setup) -> tuple[Setup, ...]:
    """Fill gaps of the inputs with the training mean of their column; or drop the samples that have any.

    Args:
        setup: What is trained.

    Returns:
        The set-ups that apply; samples whose targets are missing are dropped in both.

    Raises:
        RemedyError: If the samples are not held in memory, or too few would be left.
    """
    inputs = floating_inputs(in_memory(setup.train).samples)
    fills = [partial(_filled, means=_means(tensor)) for tensor in inputs]

    def fill(batch: Batch) -> Batch:
        return replace_each_input(batch, fills)

    made, reason = [], RemedyError("no samples would be left")
    for change in (lambda data: _complete(data.mapped(fill)), _complete):
        try:
            made.append(every_split(setup, change))
        except RemedyError as error:
            reason = error
    if not made:
        raise reason
    return tuple(made)


def _means(values: Tensor) -> Tensor:
    return torch.where(torch.isfinite(values), values, torch.nan).nanmean(0).nan_to_num()


def _filled(values: Tensor, means: Tensor) -> Tensor:
    return torch.where(is_missing(values), means.to(values), values)


def _complete(data: Data) -> Data:
    """Only the samples without gaps; the same split where there are none."""
    bad = bad_rows(in_memory(data).samples)
    return only(data, ~bad) if bool(bad.any()) else data


class _Filling(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values.nan_to_num()


def _masks_gaps() -> nn.Module:
    return nn.Sequential(_Filling(), *patients.perceptron(4, 24, 3))


RULE = Rule(
    code="DAT003",
    judge=judge,
    fault=lose_values,
    remedy=Remedy(
        "Fill the gaps with the mean of the training split, or leave those samples out.", fill_or_drop, Applies.SAFE
    ),
    cases=(
        Case("one input in a hundred is NaN", lambda: lose_values(patients.classification()), Outcome.PRESENT),
        Case("complete data", patients.classification, Outcome.ABSENT),
        Case(
            "near miss: NaN where nothing was measured, and a network that fills them in",
            lambda: lose_values(patients.classification(_masks_gaps)),
            Outcome.ABSENT,
        ),
        Case(
            "near miss: values as large as a million",
            lambda: patients.regression(inputs=lambda values: 1e6 * values, optimizer=patients.adam(1e-8)),
            Outcome.ABSENT,
        ),
    ),
    evidence_suffices=True,
)
