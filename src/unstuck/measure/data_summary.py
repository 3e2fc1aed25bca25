"""What the data look like: location, scale and range of inputs and targets, split by split."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import torch
from torch import Tensor

from unstuck.loop.evaluate import SAMPLES
from unstuck.measure.features import InputKind, by_channel, input_kind, inputs_of
from unstuck.measure.preparation import Prepared
from unstuck.setup import Data, Setup

LISTED: Final = 64
"""Features, columns or classes up to which each is listed."""


@final
@dataclass(frozen=True, slots=True)
class Columns:
    """Location and scale of some numbers, over samples and positions, channel by channel.

    Attributes:
        count: Number of features or channels.
        mean: Over everything.
        scale: Standard deviation over everything.
        minimum: Smallest number.
        maximum: Largest number.
        largest_offset: Largest |mean| / standard deviation of a feature that is not constant; 0 without any.
        scale_ratio: Largest over smallest standard deviation of the features that are not constant; 1
            without any.
        constant_share: Share of features that never change.
        means: Mean of each feature; empty for more than `LISTED`.
        scales: Standard deviation of each feature; likewise.
    """

    count: int
    mean: float
    scale: float
    minimum: float
    maximum: float
    largest_offset: float
    scale_ratio: float
    constant_share: float
    means: tuple[float, ...]
    scales: tuple[float, ...]

    @classmethod
    def of(cls, channels: Tensor) -> Columns:
        """Summarise numbers in float64, shape `[C, M]` with M > 0; those that are not finite are left out."""
        clean = torch.where(torch.isfinite(channels), channels, torch.nan)
        means = clean.nanmean(1).nan_to_num()
        scales = (clean - means[:, None]).square().nanmean(1).nan_to_num().sqrt()
        alive = scales > 1e-7 * means.abs()
        known = clean[~clean.isnan()]
        known = known if known.numel() else torch.zeros(1, dtype=torch.float64)
        offset = (means[alive].abs() / scales[alive]).max() if bool(alive.any()) else torch.tensor(0.0)
        ratio = scales[alive].max() / scales[alive].min() if bool(alive.any()) else torch.tensor(1.0)
        listed = len(means) <= LISTED
        return cls(
            count=len(means),
            mean=float(known.mean()),
            scale=float(known.std(correction=0)),
            minimum=float(known.min()),
            maximum=float(known.max()),
            largest_offset=float(offset),
            scale_ratio=float(ratio),
            constant_share=float((~alive).double().mean()),
            means=tuple(means.tolist()) if listed else (),
            scales=tuple(scales.tolist()) if listed else (),
        )


@final
@dataclass(frozen=True, slots=True)
class InputSummary:
    """One input tensor of a split.

    Attributes:
        shape: Of one sample.
        dtype: Such as "float32".
        kind: What it holds.
        finite_share: Share of its numbers that are neither NaN nor infinite.
        columns: Location and scale; of tokens only the range means anything.
    """

    shape: tuple[int, ...]
    dtype: str
    kind: InputKind
    finite_share: float
    columns: Columns


@final
@dataclass(frozen=True, slots=True)
class TargetSummary:
    """The targets of a split.

    Attributes:
        shape: Of one sample.
        dtype: Such as "int64".
        columns: Location and scale, column by column; positions of targets per position are one column.
        counts: How often each value occurs, in order, where all are whole and at most `LISTED` differ; else
            empty.
    """

    shape: tuple[int, ...]
    dtype: str
    columns: Columns
    counts: tuple[tuple[int, int], ...]


@final
@dataclass(frozen=True, slots=True)
class SplitSummary:
    """One split, from at most 2000 samples of it.

    Attributes:
        samples: Number of samples of the split, or None where only reading it through tells.
        looked_at: Number of samples that the rest is about.
        inputs: One an input tensor.
        targets: Of the targets, or None where they are no tensor.
    """

    samples: int | None
    looked_at: int
    inputs: tuple[InputSummary, ...]
    targets: TargetSummary | None


@final
@dataclass(frozen=True, slots=True)
class DataSummary:
    """What the data look like.

    Attributes:
        train: The training split.
        held_out: The held-out split.
        test: The test split, where there is one.
    """

    cost: ClassVar[float] = 0.0

    train: SplitSummary
    held_out: SplitSummary
    test: SplitSummary | None

    @classmethod
    def measure(cls, prepared: Prepared) -> DataSummary:
        """Look at every split."""
        setup = prepared.setup
        test = None if setup.test is None else _summary(setup, setup.test)
        return cls(_summary(setup, setup.train), _summary(setup, prepared.held_out), test)


def _summary(setup: Setup, data: Data) -> SplitSummary:
    batches = data.head(SAMPLES)
    inputs = inputs_of(batches)
    targets = _targets([setup.targets(batch) for batch in batches])
    looked_at = len(inputs[0]) if inputs else 0 if targets is None else len(targets)
    return SplitSummary(
        samples=data.size,
        looked_at=looked_at,
        inputs=tuple(_input(part) for part in inputs if part.numel()),
        targets=None if targets is None else _target(targets),
    )


def _input(part: Tensor) -> InputSummary:
    finite = float(torch.isfinite(part).double().mean())
    kind = input_kind(part)
    channels = part.double().reshape(1, -1) if kind is InputKind.TOKENS else by_channel(part)
    return InputSummary(tuple(part.shape[1:]), _name(part), kind, finite, Columns.of(channels))


def _targets(parts: list[Any]) -> Tensor | None:
    if not all(isinstance(part, Tensor) and part.dim() and part.numel() for part in parts):
        return None
    try:
        return torch.cat([part.detach().cpu() for part in parts])
    except RuntimeError:
        return torch.cat([part.detach().cpu().flatten() for part in parts])


def _target(targets: Tensor) -> TargetSummary:
    if targets.is_floating_point() and targets.dim() == 2:
        columns = Columns.of(targets.double().T)
    else:
        columns = Columns.of(targets.double().reshape(1, -1) if targets.dim() < 3 else by_channel(targets))
    counts: tuple[tuple[int, int], ...] = ()
    whole = targets.double()
    if bool((whole == whole.round()).all()):
        values, numbers = torch.unique(whole, return_counts=True)
        if len(values) <= LISTED and math.isfinite(float(whole.abs().max())):
            counts = tuple(zip(map(int, values.tolist()), numbers.tolist(), strict=True))
    return TargetSummary(tuple(targets.shape[1:]), _name(targets), columns, counts)


def _name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
