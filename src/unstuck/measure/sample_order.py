"""Whether the order in which samples come makes the batches differ more than chance does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import torch
from torch import Tensor

from unstuck.loop.clock import WorkClock
from unstuck.loop.evaluate import SAMPLES
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import Data, Setup, StackedData
from unstuck.setup.randomness import isolated, one_thread, seeded

SECONDS: Final = 0.1
"""Time for reading a pass through a loader."""

SHUFFLES: Final = 60
"""Orders drawn at random that the given one is held against."""

WIDEST: Final = 64
"""Numbers of one target that are compared at most."""

MOST_CLASSES: Final = 64
"""Different targets up to which they are compared as classes."""


@final
@dataclass(frozen=True, slots=True)
class SampleOrder:
    """How much of the targets' variance lies between the batches of one pass.

    Attributes:
        shuffled: Whether the order is drawn anew for every pass.
        batches: Number of batches looked at.
        samples: Number of samples in them.
        share: Share of the targets' variance that lies between batches.
        chance: The same for samples in random order, on average.
        deviations: `share` above `chance`, in standard deviations of random orders.
    """

    cost: ClassVar[float] = 0.0

    shuffled: bool
    batches: int
    samples: int
    share: float
    chance: float
    deviations: float

    @classmethod
    def measure(cls, setup: Setup) -> SampleOrder:
        """Compare the batches of the first pass with batches in random order.

        Args:
            setup: As given.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If targets are no tensors of one shape.
        """
        parts = _targets(setup)
        sizes = [len(part) for part in parts]
        with isolated(0), one_thread():
            table = _table(torch.cat([part.reshape(len(part), -1) for part in parts]))
            total = float(table.square().sum())
            if total <= 0.0 or len(sizes) < 2:
                return cls(setup.train.shuffled, len(sizes), sum(sizes), 0.0, 0.0, 0.0)
            null = []
            for seed in range(SHUFFLES):
                order = torch.randperm(len(table), generator=torch.Generator().manual_seed(seed))
                null.append(between(table[order], sizes) / total)
            share = between(table, sizes) / total
        middle = sum(null) / len(null)
        spread = (sum((one - middle) ** 2 for one in null) / (len(null) - 1)) ** 0.5
        deviations = (share - middle) / spread if spread > 0.0 else 0.0
        return cls(setup.train.shuffled, len(sizes), sum(sizes), share, middle, deviations)


def between(table: Tensor, sizes: list[int]) -> float:
    """Sum of squares between groups.

    Args:
        table: Centred columns, `[N, D]`, the groups one after the other.
        sizes: Of the groups; they sum to N.

    Returns:
        Σ size · |mean|².
    """
    group = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    sums = torch.zeros(len(sizes), table.shape[1], dtype=table.dtype).index_add_(0, group, table)
    return float((sums.square().sum(1) / torch.tensor(sizes)).sum())


def _targets(setup: Setup) -> list[Tensor]:
    """Targets of the first pass, batch by batch, a stretch of it where it is long."""
    data: Data = setup.train
    found: list[Any] = []
    with isolated(setup.seed):
        if isinstance(data, StackedData):
            everything = setup.targets(data.samples)
            if not isinstance(everything, Tensor) or len(everything) != data.size:
                raise NotMeasurable("targets must be one tensor with a row a sample")
            order = data.order(torch.Generator().manual_seed(setup.seed)).to(everything.device)
            rows = order.split(data.batch_size)
            every = max(1, data.size // (SAMPLES * 4))
            found = [everything[part] for part in rows[::every]]
        else:
            clock = WorkClock()
            for batch in data.batches(seeded(setup.seed)):
                found.append(setup.targets(batch))
                if clock() > SECONDS:
                    break
    if not all(isinstance(part, Tensor) and part.dim() and len(part) for part in found):
        raise NotMeasurable("targets must be tensors with a row a sample")
    parts = [part.detach().cpu() for part in found]
    if any(part.shape[1:] != parts[0].shape[1:] for part in parts):
        raise NotMeasurable("targets must be of one shape")
    return parts


def _table(targets: Tensor) -> Tensor:
    """Targets as centred columns `[N, D]` of deviation 1: classes one-hot, numbers as they are."""
    columns = targets[:, :WIDEST].double().nan_to_num(0.0, 0.0, 0.0)
    if not targets.is_floating_point() and columns.shape[1] == 1:
        values, place = columns[:, 0].unique(return_inverse=True)
        if len(values) <= MOST_CLASSES:
            hot = torch.nn.functional.one_hot(place, len(values)).double()
            return hot - hot.mean(0)
    centred = columns - columns.mean(0)
    scale = centred.square().mean(0).sqrt()
    return centred / torch.where(scale > 0.0, scale, 1.0)
