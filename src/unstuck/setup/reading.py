"""Reading a split through a copy of the user's `DataLoader`, pass after pass."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, final

import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
)

from unstuck.errors import ExaminationError, SetupError
from unstuck.setup.advice import advice
from unstuck.setup.batch import Batch, map_tensors
from unstuck.setup.data import LoadedData, Transform
from unstuck.setup.private import Memo, private
from unstuck.setup.randomness import isolated
from unstuck.setup.source import user_line

ORDER_PROBE = 1000
"""Indices of a sampler that are looked at to see whether it shuffles."""


@final
class Recipe:
    """How the user's loader makes batches; makes the like of it, with one process, again and again.

    Attributes:
        name: "train", "validation" or "test", for messages.
        dataset: A private copy of the user's data set, never read itself: each run reads a copy of it.
        iterable: Whether the data set has no indices.
    """

    def __init__(self, name: str, loader: DataLoader[Any]) -> None:
        """Copy what the loader holds.

        Args:
            name: For messages.
            loader: The user's own; it is not iterated.

        Raises:
            SetupError: If an iterable data set cannot be copied, so that reading would use it up.
        """
        memo: Memo = {}
        self.name = name
        self.iterable = isinstance(loader.dataset, IterableDataset)
        self.dataset = copied(loader.dataset, memo, must=self.iterable, name=name)
        self.batch_size = loader.batch_size
        self.drop_last = bool(loader.drop_last)
        self.collate = private(loader.collate_fn, memo)
        self.sampler: Any = None
        self.in_batches = False
        if not self.iterable:
            self.in_batches = loader.batch_size is None and loader.batch_sampler is not None
            self.in_batches |= type(loader.batch_sampler) not in (BatchSampler, type(None))
            self.sampler = copied(loader.batch_sampler if self.in_batches else loader.sampler, memo)
        self._copies: weakref.WeakKeyDictionary[torch.Generator, tuple[Any, Any]] = weakref.WeakKeyDictionary()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the copies of single runs behind when sent to another process."""
        return {name: value for name, value in vars(self).items() if name != "_copies"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin without copies."""
        vars(self).update(state, _copies=weakref.WeakKeyDictionary())

    @property
    def is_plain(self) -> bool:
        """Whether every epoch is each sample once, in order or shuffled, in batches of one size."""
        if self.iterable or self.in_batches or self.batch_size is None:
            return False
        if type(self.sampler) is RandomSampler:
            return not self.sampler.replacement and self.sampler.num_samples == len(self.dataset)
        return type(self.sampler) is SequentialSampler

    def shuffles(self) -> bool:
        """Whether the order is anything but ascending or changes from pass to pass."""
        if self.iterable or type(self.sampler) is SequentialSampler:
            return False
        if isinstance(self.sampler, RandomSampler):
            return True
        try:
            with isolated(0):
                passes = [self._first_indices(torch.Generator().manual_seed(seed)) for seed in (0, 1)]
        except Exception as error:
            raise self._raised(error) from error
        return passes[0] != passes[1] or passes[0] != sorted(passes[0])

    def _first_indices(self, generator: torch.Generator) -> list[Any]:
        found: list[Any] = []
        for index in drawing_from(generator, copied(self.sampler, {})):
            found.extend(index if isinstance(index, (list, tuple)) else [index])
            if len(found) >= ORDER_PROBE:
                break
        return found

    def read(self, generator: torch.Generator, indices: frozenset[int] | None = None) -> Iterator[Batch]:
        """One pass.

        Args:
            generator: Draws the order; stands for the run.
            indices: Samples that are left in, where not all.

        Yields:
            The batches.

        Raises:
            ExaminationError: If the user's data set, sampler or collate function raises.
        """
        try:
            if generator not in self._copies:
                memo: Memo = {}
                dataset, sampler = copied(self.dataset, memo), copied(self.sampler, memo)
                self._copies[generator] = dataset, drawing_from(generator, sampler)
            dataset, sampler = self._copies[generator]
            for batch in self._loader(dataset, sampler, generator, indices):
                yield detached(batch)
        except Exception as error:
            raise self._raised(error) from error

    def _loader(
        self, dataset: Any, sampler: Any, generator: torch.Generator, indices: frozenset[int] | None
    ) -> DataLoader[Any]:
        if self.iterable:
            return DataLoader(
                dataset, self.batch_size, drop_last=self.drop_last, collate_fn=self.collate, generator=generator
            )
        drawn = sampler if indices is None else Kept(sampler, indices)
        if self.in_batches:
            return DataLoader(dataset, batch_sampler=drawn, collate_fn=self.collate, generator=generator)
        if self.batch_size is None:
            return DataLoader(dataset, None, sampler=drawn, collate_fn=self.collate, generator=generator)
        return DataLoader(
            dataset,
            self.batch_size,
            sampler=drawn,
            drop_last=self.drop_last,
            collate_fn=self.collate,
            generator=generator,
        )

    def data(self, batch_size: int, samples: int | None, length: int | None) -> LoadedData:
        """The split that is read this way."""
        shuffled = self.shuffles()
        per_batch = 1.0 if not samples or not length else samples / length

        def part(indices: Tensor) -> LoadedData:
            kept = frozenset(indices.tolist())
            batches = None if length is None else max(1, -(-len(kept) // max(1, round(per_batch))))
            made = LoadedData(lambda generator: self.read(generator, kept), batch_size, shuffled, len(kept), batches)
            if in_order:
                made = replace(made, shuffle=lambda: mixed()._of_part(indices))
            if known is None:
                return made
            return replace(made, transform=known, reread=lambda transform: again(transform)._of_part(indices))

        def again(transform: Transform) -> LoadedData:
            return self._through(transform).data(batch_size, samples, length)

        def mixed() -> LoadedData:
            return self._in_random_order().data(batch_size, samples, length)

        known = transform_of(self.dataset)
        in_order = type(self.sampler) is SequentialSampler and not self.in_batches and bool(samples)
        whole = LoadedData(self.read, batch_size, shuffled, samples, length, None if self.iterable else part)
        if in_order:
            whole = replace(whole, shuffle=mixed)
        return whole if known is None else replace(whole, transform=known, reread=again)

    def _in_random_order(self) -> Recipe:
        """The same, with an order that is drawn anew every pass."""
        other = copy.copy(self)
        other.__setstate__({**self.__getstate__(), "sampler": RandomSampler(self.dataset)})
        return other

    def _through(self, transform: Transform) -> Recipe:
        """The same, with another transform in a copy of the data set."""
        other = copy.copy(self)
        other.__setstate__({**self.__getstate__(), "dataset": copied(self.dataset, {})})
        holder = _holder(other.dataset)
        assert holder is not None  # asked only where there is one
        holder.transform = transform.apply
        return other

    def samples(self, indices: Sequence[int], dataset: Any) -> list[Any]:
        """Single samples of a copy of the data set.

        Args:
            indices: Which samples.
            dataset: The copy.

        Returns:
            The samples, not collated.

        Raises:
            ExaminationError: If the data set raises.
        """
        try:
            return [dataset[index] for index in indices]
        except Exception as error:
            raise self._raised(error) from error

    def _raised(self, error: Exception) -> ExaminationError:
        do = advice("data", error)
        return ExaminationError("data", error, user_line(error), do, on=self.name)


def transform_of(dataset: Any) -> Transform | None:
    """What a data set, or the one inside it, passes its inputs through; None where it does not say."""
    holder = _holder(dataset)
    return None if holder is None else Transform(holder.transform)


def _holder(dataset: Any) -> Any:
    """The data set that has a `transform`: itself, or the one that it is a subset of."""
    while dataset is not None and "transform" not in getattr(dataset, "__dict__", {}):
        dataset = getattr(dataset, "__dict__", {}).get("dataset")
    return dataset


@final
class Kept(Sampler[Any]):
    """The indices of another sampler that belong to a part; batches of them, where it makes batches."""

    def __init__(self, sampler: Any, indices: frozenset[int]) -> None:
        self.sampler, self.indices = sampler, indices

    def __iter__(self) -> Iterator[Any]:
        for index in self.sampler:
            if isinstance(index, (list, tuple)):
                batch = [each for each in index if each in self.indices]
                if batch:
                    yield batch
            elif index in self.indices:
                yield index


def detached(batch: Batch) -> Batch:
    """The batch outside any graph that the user's data set may have recorded."""
    return map_tensors(batch, lambda tensor: tensor.detach() if tensor.requires_grad else tensor)


def copied(value: Any, memo: Memo, *, must: bool = False, name: str = "") -> Any:
    """A deep copy, or the object itself where it cannot be copied (open files, connections).

    Args:
        value: A data set or a sampler.
        memo: Copies made so far.
        must: Whether an object that cannot be copied is refused, because reading it uses it up.
        name: For the message.

    Returns:
        The copy.

    Raises:
        SetupError: If it must be copied and cannot.
    """
    try:
        return copy.deepcopy(value, memo)
    except Exception as error:
        if not must:
            return value
        raise SetupError(
            f"An iterable data set must be copyable, so that reading `{name}` does not use it up",
            f"{type(value).__name__}, which raised {type(error).__name__}: {' '.join(str(error).split())[:120]}",
            "Let its `__iter__` open the source anew, instead of keeping an open one.",
        ) from error


def drawing_from(generator: torch.Generator, sampler: Any) -> Any:
    """A run's own copy of a sampler, made to draw from the run's generator wherever it draws from one of torch."""
    inner = getattr(sampler, "sampler", None)
    if inner is not None and hasattr(inner, "__iter__"):
        sampler.sampler = drawing_from(generator, inner)
    if isinstance(getattr(sampler, "generator", 0), (torch.Generator, type(None))):
        sampler.generator = generator
    return sampler
