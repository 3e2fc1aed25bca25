"""From the inputs of a network to a plain table of features, for learners that know no tensors."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from unstuck.setup import Batch
from unstuck.setup.batch import split_batch, tensors

Table = np.ndarray[Any, np.dtype[np.float64]]

WIDEST: Final = 512
"""Features at most; wider tables are projected on `COMPONENTS` principal components."""

COMPONENTS: Final = 256

LARGEST_SIDE: Final = 32
"""Pixels a side; larger images are averaged down to it."""

LONGEST: Final = 8192
"""Numbers of one flattened input at most; longer ones are averaged in blocks."""

POSITIONS: Final = 4
"""First and last positions of a token sequence that are given one-hot."""


class InputKind(enum.Enum):
    """What an input tensor holds, told by its shape and dtype."""

    VECTORS = "vectors"
    IMAGES = "images"
    SEQUENCES = "sequences"
    TOKENS = "tokens"


def input_kind(tensor: Tensor) -> InputKind:
    """The kind of an input.

    Args:
        tensor: Shape `[N, …]`. Whole numbers from 0 with at most one dimension a sample are tokens; one
            dimension
            a sample makes vectors, two sequences, three images, more vectors again.

    Returns:
        The kind.
    """
    inner = tensor.dim() - 1
    if inner == 3:
        return InputKind.IMAGES
    if inner == 2:
        return InputKind.SEQUENCES
    whole = not tensor.is_floating_point() and not tensor.is_complex() and tensor.dtype != torch.bool
    if inner <= 1 and whole and tensor.numel() and int(tensor.min()) >= 0:
        return InputKind.TOKENS
    return InputKind.VECTORS


def channel_axis(tensor: Tensor) -> int:
    """The axis of features or channels of `[N, …]`.

    Args:
        tensor: Inputs. Of images the second axis, or the last where only that has at most four entries; of
            sequences the shorter one, the last where both are alike; of vectors the second.

    Returns:
        The axis; 0 where a sample is one number.
    """
    kind = input_kind(tensor)
    if kind is InputKind.IMAGES:
        return 3 if tensor.shape[3] <= 4 < tensor.shape[1] else 1
    if kind is InputKind.SEQUENCES:
        return 1 if tensor.shape[1] < tensor.shape[2] else 2
    return min(1, tensor.dim() - 1)


def by_channel(tensor: Tensor) -> Tensor:
    """Inputs `[N, …]` in float64 as `[C, M]`: all values of each feature or channel."""
    if tensor.dim() == 1:
        return tensor.double()[None]
    return tensor.double().movedim(channel_axis(tensor), 0).flatten(1)


def inputs_of(batches: list[Batch]) -> list[Tensor]:
    """The input tensors of several batches, each joined to `[N, …]` on the CPU.

    Args:
        batches: Of one split; of differing lengths, shorter samples are filled up with zeros at the end.

    Returns:
        One tensor an input, in the order of the batch.
    """
    rows = []
    for batch in batches:
        positional, named, _ = split_batch(batch)
        rows.append([part.detach().cpu() for part in tensors((positional, named)) if part.dim() > 0])
    return [_stacked(list(parts)) for parts in zip(*rows, strict=True)]


def _stacked(parts: list[Tensor]) -> Tensor:
    if any(part.shape[1:] != parts[0].shape[1:] for part in parts):
        sizes = [max(lengths) for lengths in zip(*(part.shape[1:] for part in parts), strict=True)]
        parts = [
            functional.pad(part, [n for a, b in zip(part.shape[:0:-1], sizes[::-1], strict=True) for n in (0, b - a)])
            for part in parts
        ]
    return torch.cat(parts)


def shrunk(images: Tensor) -> Tensor:
    """Images `[N, C, H, W]` in float32 with no side above `LARGEST_SIDE`."""
    images = images.float()
    height, width = (min(side, LARGEST_SIDE) for side in images.shape[-2:])
    if (height, width) == tuple(images.shape[-2:]):
        return images
    return functional.adaptive_avg_pool2d(images, (height, width))


def flattened(tensor: Tensor) -> Tensor:
    """An input of numbers as `[N, D]` in float32, D at most `LONGEST`."""
    if input_kind(tensor) is InputKind.IMAGES and tensor.shape[-1] > 4:
        tensor = shrunk(tensor)
    flat = tensor.float().reshape(len(tensor), -1)
    return flat if flat.shape[1] <= LONGEST else functional.adaptive_avg_pool1d(flat[:, None], LONGEST)[:, 0]


def token_table(tokens: Tensor, vocabulary: int) -> Tensor:
    """Tokens as numbers: counts, and which stands at the first and last positions where there are few.

    Args:
        tokens: Whole numbers from 0, shape `[N]` or `[N, T]`.
        vocabulary: Number of different tokens; those beyond it are counted by their remainder.

    Returns:
        Shape `[N, D]`.
    """
    places = tokens.reshape(len(tokens), -1).long()
    buckets = min(vocabulary, WIDEST // 2)
    hashed = places % buckets
    counts = torch.zeros(len(places), buckets).scatter_add_(1, hashed, torch.ones(hashed.shape))
    if places.shape[1] == 1:
        return counts
    if buckets * places.shape[1] <= WIDEST:
        return torch.cat([counts, functional.one_hot(hashed, buckets).flatten(1).float()], 1)
    if buckets > WIDEST // (4 * POSITIONS):
        return counts
    ends = torch.cat([hashed[:, :POSITIONS], hashed[:, -POSITIONS:]], 1)
    return torch.cat([counts, functional.one_hot(ends, buckets).flatten(1).float()], 1)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """A fitted way from inputs to a table of standardised features.

    Attributes:
        vocabularies: Number of tokens of each input, 0 for one that is not tokens.
        mean: Of each column, shape `[D]`.
        scale: Standard deviation of each column, 1 for a constant one.
        axes: Principal axes, shape `[D, COMPONENTS]`, or None where the table is narrow enough.
    """

    vocabularies: tuple[int, ...]
    mean: Table
    scale: Table
    axes: Table | None

    @classmethod
    def fit(cls, inputs: list[Tensor]) -> Features:
        """Learn columns, scales and axes from the training inputs, each `[N, …]`."""
        kinds = [input_kind(part) for part in inputs]
        vocabularies = tuple(
            int(part.max()) + 1 if kind is InputKind.TOKENS else 0 for part, kind in zip(inputs, kinds, strict=True)
        )
        table = _columns(inputs, vocabularies)
        mean, scale = table.mean(0), table.std(0)
        scale[scale <= 1e-6 * (1e-30 + np.abs(mean))] = 1.0
        axes = None
        if table.shape[1] > WIDEST:
            some = ((table - mean) / scale)[:: max(1, len(table) // 800)]
            values, vectors = np.linalg.eigh(some @ some.T)
            kept = slice(-min(COMPONENTS, max(1, len(some) - 1)), None)
            directions = some.T @ vectors[:, kept]
            lengths = np.sqrt(np.maximum(values[kept], 1e-12))
            axes = directions / lengths * (np.sqrt(len(some)) / lengths.max())
        return cls(vocabularies, mean, scale, axes)

    def table(self, inputs: list[Tensor]) -> Table:
        """Features of any inputs of the same form, shape `[N, D]`."""
        standard = (_columns(inputs, self.vocabularies) - self.mean) / self.scale
        return standard if self.axes is None else standard @ self.axes


def _columns(inputs: list[Tensor], vocabularies: tuple[int, ...]) -> Table:
    parts = [
        token_table(part, size) if size else flattened(part) for part, size in zip(inputs, vocabularies, strict=True)
    ]
    return torch.cat(parts, 1).double().numpy()
