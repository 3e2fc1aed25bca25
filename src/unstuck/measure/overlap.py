"""Samples of the training split that come back in the validation or test split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor

from unstuck.loop.evaluate import SAMPLES
from unstuck.measure.features import InputKind, input_kind, inputs_of
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import Data, Setup, StackedData
from unstuck.setup.randomness import isolated, one_thread

NUMBERS: Final = 10_000_000
"""Numbers of a split that are looked at for exact copies at most."""

NEIGHBOURS: Final = (1000, 300)
"""Training and other samples whose distances are taken."""

DIRECTIONS: Final = 32
"""Random directions that wide samples are projected on, which keeps distances to a quarter (Johnson & Lindenstrauss,
"Extensions of Lipschitz mappings into a Hilbert space", 1984)."""

NEAR: Final = 0.1
"""Share of the typical distance to the nearest training sample up to which a sample is a near copy."""


@final
@dataclass(frozen=True, slots=True)
class Copies:
    """How much of a split is in the training split too.

    Attributes:
        split: "validation" or "test".
        samples: Number of its samples that were looked at.
        exact: How many are exact copies of a training sample.
        compared: Number of its samples whose nearest training sample was looked for.
        near: How many of those are exact or near copies.
        first_rows: The first exact copies by number.
    """

    split: str
    samples: int
    exact: int
    compared: int
    near: int
    first_rows: tuple[int, ...]


@final
@dataclass(frozen=True, slots=True)
class Overlap:
    """Samples of the training split that come back elsewhere, and within the training split itself.

    Attributes:
        splits: One a split besides the training split.
        own: The same of training samples among the others of the training split: what is natural in these data.
    """

    cost: ClassVar[float] = 0.0

    splits: tuple[Copies, ...]
    own: Copies

    @classmethod
    def measure(cls, setup: Setup) -> Overlap:
        """Compare every split that was given with the training split.

        Args:
            setup: As given.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If there is nothing to compare with.
        """
        others = {"validation": setup.validation, "test": setup.test}
        given = {name: data for name, data in others.items() if data is not None}
        if not given:
            raise NotMeasurable("there is neither a validation split nor a test split")
        with isolated(0), one_thread():
            train, tokens = _rows(setup.train)
            pairs = {name: _rows(data)[0] for name, data in given.items()}
            if any(rows.shape[1] != train.shape[1] for rows in pairs.values()):
                raise NotMeasurable("samples of the splits differ in size")
            keys = fingerprints(train)
            ways = None if tokens else _Neighbours(train)
            splits = tuple(_copies(name, rows, keys, ways) for name, rows in pairs.items())
            return cls(splits, _own(train, keys, ways))


def fingerprints(rows: Tensor) -> Tensor:
    """One number a row: the same for equal rows and, but for one chance in millions of millions, for no others.

    Args:
        rows: Shape `[N, D]`.

    Returns:
        A projection on fixed random weights, shape `[N]`, float64.
    """
    weights = torch.rand(rows.shape[1], generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.5
    return torch.cat([(part.double() * weights).sum(1) for part in rows.split(1024)])


def flat_rows(data: StackedData) -> Tensor:
    """Every sample of a split as one row `[N, D]`, all its inputs side by side."""
    return torch.cat([part.reshape(len(part), -1).double() for part in inputs_of([data.samples])], 1)


def _rows(data: Data) -> tuple[Tensor, bool]:
    """Samples as rows, and whether they are tokens, which have no distance."""
    if isinstance(data, StackedData):
        width = sum(part[0].numel() for part in inputs_of([data._take(torch.arange(1))]))
        batches = data.head(max(1, NUMBERS // max(1, width)))
    else:
        batches = data.head(SAMPLES)
    parts = inputs_of(batches)
    if not parts or any(len(part) != len(parts[0]) for part in parts):
        raise NotMeasurable("inputs must have a row a sample")
    tokens = any(input_kind(part) is InputKind.TOKENS for part in parts)
    return torch.cat([part.reshape(len(part), -1).double() for part in parts], 1), tokens


class _Neighbours:
    """Distances to the nearest of some training samples, in units of the typical one."""

    def __init__(self, train: Tensor) -> None:
        self._mean, scale = train.mean(0), train.std(0, correction=0)
        self._scale = torch.where(scale > 0.0, scale, 1.0)
        width = train.shape[1]
        draws = torch.randn(width, DIRECTIONS, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        self._axes = draws if width > DIRECTIONS else torch.eye(width, dtype=torch.float64)
        self.train = self._placed(_some(train, NEIGHBOURS[0])[0])
        self.own = torch.cdist(self.train, self.train).fill_diagonal_(torch.inf).amin(1)
        apart = self.own[self.own > 0.0]
        self.typical = float(apart.median()) if apart.numel() else 0.0

    def _placed(self, rows: Tensor) -> Tensor:
        return ((rows - self._mean) / self._scale) @ self._axes

    def nearest(self, rows: Tensor) -> Tensor:
        """Distance of each row to the nearest training sample, `[M]`."""
        return torch.cdist(self._placed(rows), self.train).amin(1)


def _some(rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
    chosen = torch.linspace(0, len(rows) - 1, min(count, len(rows))).round().long()
    return rows[chosen], chosen


def _copies(split: str, rows: Tensor, keys: Tensor, ways: _Neighbours | None) -> Copies:
    exact = torch.isin(fingerprints(rows), keys)
    first = tuple(exact.nonzero().flatten()[:5].tolist())
    if ways is None:
        return Copies(split, len(rows), int(exact.sum()), len(rows), int(exact.sum()), first)
    some, chosen = _some(rows, NEIGHBOURS[1])
    near = exact[chosen] | (ways.nearest(some) <= NEAR * ways.typical)
    return Copies(split, len(rows), int(exact.sum()), len(some), int(near.sum()), first)


def _own(train: Tensor, keys: Tensor, ways: _Neighbours | None) -> Copies:
    _, place, counts = keys.unique(return_inverse=True, return_counts=True)
    exact = counts[place] > 1
    if ways is None:
        return Copies("training", len(train), int(exact.sum()), len(train), int(exact.sum()), ())
    _, chosen = _some(train, NEIGHBOURS[0])
    near = exact[chosen] | (ways.own <= NEAR * ways.typical)
    return Copies("training", len(train), int(exact.sum()), len(chosen), int(near.sum()), ())
