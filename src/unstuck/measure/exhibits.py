"""Samples to look at: those whose label is contradicted, and those that are least like the training data."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor
from torch.nn import functional

from unstuck.measure.features import InputKind, channel_axis, input_kind, inputs_of
from unstuck.measure.label_noise import LabelNoise
from unstuck.measure.preparation import Prepared, Trained
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.shift.drift import InputDrift
from unstuck.measure.shift.test_data import sample_losses, test_inputs
from unstuck.setup import StackedData

MOST: Final = 12
"""Samples of one kind that are kept: a report is sent by mail."""

SIDE: Final = 28
"""Pixels a side at most; larger images are averaged down to it."""

SMALLEST: Final = 4
"""Pixels a side below which there is nothing to see."""

NUMBERS: Final = 12
"""Numbers of a sample that is no image."""


@final
@dataclass(frozen=True, slots=True)
class Exhibit:
    """One sample.

    Attributes:
        row: Its number in its split.
        loss: Of the run as given; NaN where it was not asked.
        label: Its class; -1 where it was not asked.
        answer: The class that contradicts it; -1 likewise.
        pixels: `height · width · channels` bytes, base64, row by row, where it is an image; else "".
        numbers: Its first numbers, where it is none.
    """

    row: int
    loss: float = math.nan
    label: int = -1
    answer: int = -1
    pixels: str = ""
    numbers: tuple[float, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Suspects:
    """Training samples whose label other learners contradict with the most confidence.

    Attributes:
        height: Of the images, in pixels; 0 where samples are none.
        width: Likewise.
        channels: 1 (grey) or 3.
        samples: The surest first.
    """

    cost: ClassVar[float] = 0.1

    height: int
    width: int
    channels: int
    samples: tuple[Exhibit, ...]

    @classmethod
    def measure(cls, prepared: Prepared, noise: LabelNoise) -> Suspects:
        """Keep what the suspects look like.

        Args:
            prepared: Holds the training samples.
            noise: Names the suspects.

        Returns:
            The samples.

        Raises:
            NotMeasurable: If there are none, or they are not in memory.
        """
        data = prepared.setup.train
        if not noise.answers or not isinstance(data, StackedData):
            raise NotMeasurable("no label is contradicted")
        rows = noise.suspects[: min(MOST, len(noise.answers))]
        (shape, looks), *_ = drawn([_first(data, rows)])
        samples = zip(rows, noise.answers, looks, strict=False)
        return cls(*shape, tuple(Exhibit(row, math.nan, *pair, *look) for row, pair, look in samples))


@final
@dataclass(frozen=True, slots=True)
class Strangers:
    """Test samples that are least like the training data, beside some of these, as the network gets them.

    Attributes:
        height: Of the images, in pixels; 0 where samples are none.
        width: Likewise.
        channels: 1 (grey) or 3.
        test: The least alike first, each with the loss of the run as given.
        training: Some training samples, evenly spaced.
    """

    cost: ClassVar[float] = 0.1

    height: int
    width: int
    channels: int
    test: tuple[Exhibit, ...]
    training: tuple[Exhibit, ...]

    @classmethod
    def measure(cls, prepared: Prepared, trained: Trained, drift: InputDrift) -> Strangers:
        """Keep what they look like.

        Args:
            prepared: The set-up with its splits.
            trained: The run as given.
            drift: Names the test samples.

        Returns:
            The samples.

        Raises:
            NotMeasurable: If there are none, or they are not in memory.
        """
        setup = prepared.setup
        train, other = setup.train, test_inputs(setup)
        if not drift.unlike or not isinstance(train, StackedData) or not isinstance(other, StackedData):
            raise NotMeasurable("the samples come from a loader, so none can be singled out")
        rows = drift.unlike[:MOST]
        spaced = tuple(torch.linspace(0, train.size - 1, min(MOST, train.size)).round().long().tolist())
        (shape, strange), (_, usual) = drawn([_first(other, rows), _first(train, spaced)])
        losses = [math.nan] * len(rows)
        if setup.test is not None and setup.loss is not None:
            losses = sample_losses(setup, trained, other.subset(torch.tensor(rows))).tolist()
        test = (Exhibit(row, loss, -1, -1, *look) for row, loss, look in zip(rows, losses, strange, strict=True))
        training = (Exhibit(row, math.nan, -1, -1, *look) for row, look in zip(spaced, usual, strict=True))
        return cls(*shape, tuple(test), tuple(training))


def _first(data: StackedData, rows: Sequence[int]) -> Tensor:
    """The first input of some samples, `[K, …]`."""
    inputs = inputs_of([data.subset(torch.tensor(rows, dtype=torch.long)).samples])
    if not inputs or len(inputs[0]) != len(rows):
        raise NotMeasurable("inputs must have a row a sample")
    return inputs[0]


Look = tuple[str, tuple[float, ...]]


def drawn(groups: Sequence[Tensor]) -> list[tuple[tuple[int, int, int], list[Look]]]:
    """Samples as small images on one scale of brightness, or as their first numbers.

    Args:
        groups: Samples of some splits, each `[K, …]`.

    Returns:
        For each group the height, width and channels of its images (zeros where they are none), and its samples.
    """
    images = [_images(group) for group in groups]
    known = [image for image in images if image is not None]
    if len(known) < len(groups) or len({image.shape[1:] for image in known}) > 1:
        return [((0, 0, 0), [("", _numbers(sample)) for sample in group]) for group in groups]
    values = torch.cat([image.reshape(-1) for image in known])
    values = values[values.isfinite()]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    found = []
    for image in known:
        scaled = ((image.nan_to_num(low, high, low) - low) / max(high - low, 1e-30) * 255).round().clamp(0, 255).byte()
        shape = (image.shape[1], image.shape[2], image.shape[3])
        looks: list[Look] = [(base64.b64encode(bytes(one.flatten().tolist())).decode("ascii"), ()) for one in scaled]
        found.append((shape, looks))
    return found


def _images(samples: Tensor) -> Tensor | None:
    """Samples as `[K, H, W, C]` with C 1 or 3 and no side above `SIDE`; None where they are no images."""
    if samples.is_complex() or min(samples.shape) == 0:
        return None
    if samples.dim() == 3 and min(samples.shape[1:]) >= SMALLEST * 2 and samples.shape[1] == samples.shape[2]:
        samples = samples[:, None]  # [N, H, W] without channels
    if input_kind(samples) is not InputKind.IMAGES:
        return None
    moved = samples.float().movedim(channel_axis(samples), 1)
    if moved.shape[1] not in (1, 3):
        moved = moved.mean(1, keepdim=True)
    if min(moved.shape[2:]) < SMALLEST:
        return None
    share = min(1.0, SIDE / max(moved.shape[2:]))
    size = (max(1, round(share * moved.shape[2])), max(1, round(share * moved.shape[3])))
    return functional.adaptive_avg_pool2d(moved, size).movedim(1, 3)


def _numbers(sample: Tensor) -> tuple[float, ...]:
    return tuple(sample.reshape(-1)[:NUMBERS].double().tolist()) if not sample.is_complex() else ()
