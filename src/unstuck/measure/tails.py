"""How much of the spread of inputs and targets a few samples own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor

from unstuck.loop.evaluate import SAMPLES
from unstuck.measure.features import InputKind, input_kind, inputs_of
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import Setup
from unstuck.setup.batch import length
from unstuck.setup.randomness import one_thread

FEW: Final = 0.03
"""Share of the samples that are few; the largest three of a hundred own a fifth of a normal distribution's variance."""

FEWEST: Final = 50
"""Training samples below which a few of them are no small share."""

WIDEST: Final = 1024
"""Columns of one input that are looked at, evenly spaced."""


@final
@dataclass(frozen=True, slots=True)
class Tail:
    """The few largest samples of one tensor.

    Attributes:
        part: "inputs" or "targets".
        owned: Share of the sum of squared distances from the median, in units of each column's interquartile range,
            that the few largest samples own.
        largest: Distance of the largest number from its column's median, in interquartile ranges.
        few: How many samples the few are.
    """

    part: str
    owned: float
    largest: float
    few: int


@final
@dataclass(frozen=True, slots=True)
class Tails:
    """The tails of the training split.

    Attributes:
        samples: Number of samples looked at.
        tails: One a floating-point tensor that varies.
    """

    cost: ClassVar[float] = 0.0

    samples: int
    tails: tuple[Tail, ...]

    @classmethod
    def measure(cls, setup: Setup) -> Tails:
        """Look at the training split.

        Args:
            setup: As given.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If there are too few samples.
        """
        batches = setup.train.head(SAMPLES)
        count = sum(length(batch) for batch in batches)
        if count < FEWEST:
            raise NotMeasurable(f"the tails of {count} samples cannot be told; {FEWEST} are needed")
        with one_thread():
            found = [_tail("inputs", part) for part in inputs_of(batches) if input_kind(part) is not InputKind.TOKENS]
            found += [_tail("targets", targets) for targets in _targets(setup, batches)]
        return cls(count, tuple(tail for tail in found if tail is not None))


def fences(column: Tensor, reach: float) -> tuple[Tensor, Tensor]:
    """Bounds `reach` interquartile ranges beyond the quartiles of each column.

    Tukey, "Exploratory data analysis" (1977).

    Args:
        column: Shape `[N, …]`.
        reach: How far out; 3 for what Tukey calls far out.

    Returns:
        Lower and upper bound, shape `[…]`; infinite where a column's quartiles are equal.
    """
    low, _, high = _quartiles(column.reshape(len(column), -1))
    width = torch.where(high > low, high - low, torch.inf)
    shape = column.shape[1:]
    return (low - reach * width).reshape(shape), (high + reach * width).reshape(shape)


def _quartiles(columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of the finite numbers of each column, `[N, D]`."""
    known = torch.where(torch.isfinite(columns), columns, torch.nan).double()
    ranks = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
    low, middle, high = known.nanquantile(ranks, dim=0).nan_to_num()
    return low, middle, high


def _targets(setup: Setup, batches: list[object]) -> Iterator[Tensor]:
    parts = [setup.targets(batch) for batch in batches]
    if all(isinstance(part, Tensor) and part.dim() and part.shape[1:] == parts[0].shape[1:] for part in parts):
        yield torch.cat([part.detach().cpu() for part in parts])


def _tail(part: str, values: Tensor) -> Tail | None:
    """None where nothing varies but for a few numbers: a sparse column has no spread to be far out of."""
    if not values.is_floating_point():
        return None
    columns = values.reshape(len(values), -1)
    columns = columns[:, :: max(1, math.ceil(columns.shape[1] / WIDEST))]
    low, middle, high = _quartiles(columns)
    varying = high > low
    if not bool(varying.any()):
        return None
    apart = ((columns.double() - middle) / (high - low))[:, varying].nan_to_num(0.0, 0.0, 0.0)
    energy = apart.square().sum(1)
    few = max(1, round(FEW * len(values)))
    total = float(energy.sum())
    owned = float(energy.topk(few).values.sum()) / total if total > 0.0 else 0.0
    return Tail(part, owned, float(apart.abs().max()), few)
