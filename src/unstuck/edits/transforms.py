"""What a data set passes its inputs through: the training split read through the transform of another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, final

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from unstuck.edits.samples import in_memory
from unstuck.errors import RemedyError
from unstuck.setup import Data, LoadedData, Setup
from unstuck.setup.batch import map_tensors, replace_inputs, split_batch, tensors
from unstuck.setup.data import Transform
from unstuck.setup.loader import data_of

HALF: Final = 0.5


def through_transform_of(setup: Setup, other: Data, share: float) -> Setup:
    """Read the training split, and a validation split that is read like it, through the transform of another split.

    Args:
        setup: What is trained.
        other: The split whose transform is taken.
        share: Of the samples, drawn anew at each reading, that go through it; the others go through their own.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the training split is the same at each reading, or either does not tell its transform.
    """
    wanted = transform_of(other)
    if not isinstance(setup.train, LoadedData) or setup.train.reread is None or wanted is None:
        raise RemedyError("the data sets must have an attribute `transform` for it to be exchanged")

    def changed(data: Data | None) -> Data | None:
        if not isinstance(data, LoadedData) or data.reread is None or data.transform is None:
            return data
        return data.through(wanted if share >= 1.0 else Transform(_Either(data.transform.apply, wanted.apply, share)))

    train = changed(setup.train)
    assert train is not None  # it was read, above
    says = "that of the test data" if share >= 1.0 else f"that of the test data for {share:.0%} of the samples"
    described = {**setup.described, "transform of the training inputs": says}
    return replace(setup, train=train, validation=changed(setup.validation), described=described)


def transform_of(data: Data) -> Transform | None:
    """What a split's inputs go through, where its data set tells."""
    known: Transform | None = getattr(data, "transform", None)
    return known


@final
@dataclass(frozen=True, eq=False)
class _Either:
    """One transform or the other, drawn for each input."""

    own: Any
    other: Any
    share: float

    def __call__(self, value: Any) -> Any:
        chosen = self.other if float(torch.rand(())) < self.share else self.own
        return value if chosen is None else chosen(value)


def with_strong_augmentation(setup: Setup, contrast: float, brightness: float) -> Setup:
    """Draw the contrast and the brightness of each training input anew at each reading, far above what they are.

    The held-out samples go through the same; the test samples, or the validation samples where there are none, do not.

    Args:
        setup: What is trained.
        contrast: Factors on the values are drawn between half of it and all of it.
        brightness: Offsets, in deviations of the training inputs, are drawn likewise.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the samples are not held in memory, or their inputs are not one tensor of numbers.
    """
    test = setup.test if setup.test is not None else setup.validation
    if test is None:
        raise RemedyError("there is neither a test split nor a validation split to compare with")
    train = in_memory(setup.train)
    inputs = list(tensors(split_batch(train.samples)[:2]))
    if len(inputs) != 1 or not inputs[0].is_floating_point():
        raise RemedyError("the inputs must be one tensor of numbers to be brighter")
    stronger = _Brighter(contrast, brightness * float(inputs[0].std()))

    def read(name: str, data: Data | None, transform: Any) -> Data | None:
        if data is None:
            return None
        rows = in_memory(data)
        made = _Transformed(rows.samples, rows.size, transform)
        loader: DataLoader[Any] = DataLoader(
            made, rows.batch_size, rows.shuffled, collate_fn=_stacked, drop_last=rows.drop_last
        )
        return data_of(name, loader, None)

    made = read("train", train, stronger)
    assert made is not None  # there is always a training split
    return replace(
        setup,
        train=made,
        validation=read("validation", setup.validation, stronger),
        test=read("test", test, None),
    )


@final
class _Transformed(Dataset[Any]):
    """Samples in memory, each passed through a transform as it is read."""

    def __init__(self, samples: Any, count: int, transform: Any) -> None:
        self.samples, self.count, self.transform = samples, count, transform

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return map_tensors(self.__getitems__([index]).samples, lambda tensor: tensor[0])

    def __getitems__(self, indices: list[int]) -> _Read:
        """A batch at once, for speed; the transform is still drawn for each input."""
        rows = map_tensors(self.samples, lambda tensor: tensor[indices])
        if self.transform is None:
            return _Read(rows)
        return _Read(replace_inputs(rows, lambda inputs: torch.stack([self.transform(one) for one in inputs])))


@final
@dataclass(frozen=True, eq=False)
class _Read:
    """A batch that is stacked already."""

    samples: Any


def _stacked(read: Any) -> Any:
    return read.samples if isinstance(read, _Read) else default_collate(read)


@final
@dataclass(frozen=True)
class _Brighter:
    contrast: float
    brightness: float

    def __call__(self, values: Tensor) -> Tensor:
        first, second = torch.rand(2).tolist()
        changed: Tensor = values * (self.contrast * 0.5 * (1.0 + first)) + self.brightness * 0.5 * (1.0 + second)
        return changed
