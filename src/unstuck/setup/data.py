"""A split of the data: where batches come from.

Two forms. `StackedData` holds every sample in memory, stacked; most set-ups are of this form, and it is
quick. `LoadedData` asks a copy of the user's loader, for data sets that are iterable, random (augmented),
ragged, or too large to hold.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, final

import torch
from torch import Tensor

from unstuck.setup.batch import Batch, concatenate, length, map_tensors
from unstuck.setup.randomness import isolated, seeded


class Data(ABC):
    """One split: training, validation or test."""

    batch_size: int
    shuffled: bool

    @property
    @abstractmethod
    def size(self) -> int | None:
        """Number of samples, or None where only reading tells."""

    @property
    @abstractmethod
    def batches_per_epoch(self) -> int | None:
        """Number of batches of one pass, or None where only reading tells."""

    @abstractmethod
    def batches(self, generator: torch.Generator) -> Iterator[Batch]:
        """One pass in training order.

        Args:
            generator: Draws the order; the only source of randomness besides the user's own transforms.
        """

    @abstractmethod
    def head(self, limit: int) -> list[Batch]:
        """At most `limit` samples that stand for the whole, in a fixed order, as batches."""

    @abstractmethod
    def split(self, share: float, seed: int) -> tuple[Data, Data]:
        """Two disjoint parts, the second of about `share`."""

    @abstractmethod
    def mapped(self, change: Callable[[Batch], Batch]) -> Data:
        """The same samples, each batch changed."""

    @abstractmethod
    def with_batch_size(self, batch_size: int) -> Data:
        """The same samples in batches of another size."""


@final
@dataclass(frozen=True, eq=False)
class Transform:
    """What a data set passes each input through, by the custom of torchvision the attribute `transform`.

    Attributes:
        apply: The user's own; None for nothing.
    """

    apply: Any


@final
@dataclass(frozen=True, eq=False)
class StackedData(Data):
    """Samples in memory.

    Attributes:
        samples: A batch that holds all of them; every tensor is `[N, …]`.
        batch_size: Samples per batch.
        shuffled: Whether the order is drawn anew every epoch.
        drop_last: Whether a last, smaller batch is left out.
        transform: What the inputs have been through; None where it is not known.
    """

    samples: Batch
    batch_size: int
    shuffled: bool = True
    drop_last: bool = False
    transform: Transform | None = None

    @property
    def size(self) -> int:
        """Number of samples."""
        return length(self.samples)

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches of one pass."""
        whole = self.size / self.batch_size
        return math.floor(whole) if self.drop_last else math.ceil(whole)

    def batches(self, generator: torch.Generator) -> Iterator[Batch]:
        """One pass, shuffled where `shuffled`."""
        order = self.order(generator)
        for number in range(self.batches_per_epoch):
            yield self._take(order[number * self.batch_size : (number + 1) * self.batch_size])

    def order(self, generator: torch.Generator) -> Tensor:
        """The order of one pass: indices of the samples, shape `[N]`."""
        return torch.randperm(self.size, generator=generator) if self.shuffled else torch.arange(self.size)

    def head(self, limit: int) -> list[Batch]:
        """Evenly spaced samples, so that data sorted by class are represented."""
        count = min(limit, self.size)
        chosen = torch.linspace(0, self.size - 1, count).round().long()
        return [self._take(part) for part in chosen.split(self.batch_size)]

    def split(self, share: float, seed: int) -> tuple[StackedData, StackedData]:
        """Two disjoint random parts."""
        order = torch.randperm(self.size, generator=torch.Generator().manual_seed(seed))
        second = min(max(1, round(share * self.size)), self.size - 1)
        return self.subset(order[second:].sort().values), self.subset(order[:second].sort().values)

    def subset(self, indices: Tensor) -> StackedData:
        """Only the samples at `indices`, shape `[K]`."""
        return replace(self, samples=self._take(indices), batch_size=min(self.batch_size, len(indices)))

    def mapped(self, change: Callable[[Batch], Batch]) -> StackedData:
        """The same samples, changed once and for all."""
        return replace(self, samples=change(self.samples))

    def with_batch_size(self, batch_size: int) -> StackedData:
        """The same samples in batches of another size, at most all of them."""
        return replace(self, batch_size=min(batch_size, self.size))

    def _take(self, indices: Tensor) -> Batch:
        return map_tensors(self.samples, lambda tensor: tensor[indices.to(tensor.device)])


Reader = Callable[[torch.Generator], Iterator[Batch]]
"""One pass over a split in training order; the generator draws the order."""


@final
@dataclass(frozen=True, eq=False)
class LoadedData(Data):
    """Samples read through a loader, batch by batch.

    Attributes:
        reader: Makes one pass. The same generator object stands for the same run: what the user's data set or
            sampler draws by itself goes on from pass to pass, and begins anew for another generator.
        batch_size: Samples per batch.
        shuffled: Whether the order is drawn anew every epoch.
        samples: Number of samples, or None where only reading tells.
        length: Number of batches, or None likewise.
        part: Makes the split of some samples only, by their index; None where samples have no index.
        kept: Which batches belong to this part, by their number.
        change: Applied to each batch.
        transform: What the inputs go through; None where it is not known.
        reread: Makes the split as read through another transform; None where none is known.
        shuffle: Makes the split as read in an order that is drawn anew every pass; None where the order is not simply
            that of the data set.
    """

    reader: Reader
    batch_size: int
    shuffled: bool
    samples: int | None
    length: int | None
    part: Callable[[Tensor], LoadedData] | None = None
    kept: Callable[[int], bool] | None = None
    change: Callable[[Batch], Batch] | None = None
    transform: Transform | None = None
    reread: Callable[[Transform], LoadedData] | None = None
    shuffle: Callable[[], LoadedData] | None = None
    _heads: dict[int, list[Batch]] = field(default_factory=dict, init=False, repr=False)

    @property
    def size(self) -> int | None:
        """Number of samples, or None where only reading tells."""
        return self.samples

    @property
    def batches_per_epoch(self) -> int | None:
        """Number of batches of one pass, or None where only reading tells."""
        return self.length

    def batches(self, generator: torch.Generator) -> Iterator[Batch]:
        """One pass of a fresh loader."""
        for number, batch in enumerate(self.reader(generator)):
            if self.kept is None or self.kept(number):
                yield batch if self.change is None else self.change(batch)

    def head(self, limit: int) -> list[Batch]:
        """Batches that stand for the whole: evenly spaced samples where the order is fixed, else the first ones.

        They are read once; random transforms are drawn from one seed, and no random state moves.

        Args:
            limit: Number of samples at most, rounded up to whole batches.

        Returns:
            The batches.
        """
        if limit not in self._heads:
            with isolated(0):
                self._heads[limit] = self._read_head(limit)
        return list(self._heads[limit])

    def _read_head(self, limit: int) -> list[Batch]:
        source, generator = self, seeded(0)
        if self.part is not None and not self.shuffled and self.samples is not None and self.samples > limit:
            source = self._of_part(torch.linspace(0, self.samples - 1, limit).round().long())
        return list(islice(source.batches(generator), max(1, math.ceil(limit / self.batch_size))))

    def split(self, share: float, seed: int) -> tuple[LoadedData, LoadedData]:
        """Two disjoint parts: by sample where samples have an index, else every so-manieth batch to the second."""
        if self.part is not None and self.samples is not None and self.samples > 1:
            order = torch.randperm(self.samples, generator=torch.Generator().manual_seed(seed))
            second = min(max(1, round(share * self.samples)), self.samples - 1)
            return self._of_part(order[second:].sort().values), self._of_part(order[:second].sort().values)
        period, before = max(2, round(1 / share)), self.kept

        def one(wanted: bool) -> Callable[[int], bool]:
            return lambda number: (before is None or before(number)) and (number % period != period - 1) is wanted

        def scaled(count: int | None, factor: float) -> int | None:
            return None if count is None else max(1, round(count * factor))

        rest = 1 - 1 / period
        return (
            replace(self, kept=one(True), samples=scaled(self.samples, rest), length=scaled(self.length, rest)),
            replace(
                self,
                kept=one(False),
                samples=scaled(self.samples, 1 / period),
                length=scaled(self.length, 1 / period),
            ),
        )

    def _of_part(self, indices: Tensor) -> LoadedData:
        assert self.part is not None  # callers have asked
        return replace(self.part(indices), change=self.change)

    def mapped(self, change: Callable[[Batch], Batch]) -> LoadedData:
        """The same batches, changed as they are read."""
        before = self.change
        return replace(self, change=change if before is None else lambda batch: change(before(batch)))

    def through(self, transform: Transform) -> LoadedData:
        """The same samples through another transform; only where `reread` is there."""
        assert self.reread is not None  # callers have asked
        return replace(self.reread(transform), kept=self.kept, change=self.change)

    def in_random_order(self) -> LoadedData:
        """The same samples in an order that is drawn anew every pass; only where `shuffle` is there."""
        assert self.shuffle is not None  # callers have asked
        return replace(self.shuffle(), kept=self.kept, change=self.change)

    def with_batch_size(self, batch_size: int) -> LoadedData:
        """Kept as it is: the user's loader makes its own batches."""
        return self


def gather(batches: list[Batch]) -> Batch:
    """Join batches into one where their shapes allow, else the first of them."""
    try:
        return concatenate(batches)
    except (ValueError, TypeError, KeyError, RuntimeError):
        return batches[0]
