"""Simple maps of inputs (scale, offset, order of channels), fitted by moments, and undone on a split."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import torch
from torch import Tensor

from unstuck.measure.features import Table, by_channel, channel_axis
from unstuck.setup import Data
from unstuck.setup.batch import replace_inputs

MOST_CHANNELS: Final = 512
"""Channels up to which maps with a number for each are fitted."""

QUANTILES: Final = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
"""Of a channel's values, by which channels are told apart."""

ENDS: Final = (0.0, 0.05)
"""Shares of the values below and above, between which a scale is also taken."""

PATTERN: Final = 16
"""Places of a channel's mean pattern, likewise."""


@final
@dataclass(frozen=True, slots=True)
class MapFit:
    """A map from the other inputs towards the training inputs: `scale · x[permutation] + offset`.

    Attributes:
        name: Such as "one scale and offset".
        scale: One number, or one a channel; empty for none.
        offset: Likewise.
        permutation: For each channel of the result, which channel it is taken from; empty for none.
        axis: The axis of channels in `[N, …]`.
        auc_after: Area under the ROC curve of telling training inputs from the mapped ones.
        low: Lower end of its 95 % interval.
        high: Upper end.
        whole: The same area where targets are looked at beside the inputs; without targets, `auc_after`.
        whole_low: Lower end of its 95 % interval.
    """

    name: str
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    permutation: tuple[int, ...]
    axis: int
    auc_after: float = math.nan
    low: float = 0.0
    high: float = 1.0
    whole: float = math.nan
    whole_low: float = 0.0


def undo(map_fit: MapFit, data: Data) -> Data:
    """A split with its floating-point inputs mapped; targets and other inputs stay.

    Args:
        map_fit: Fitted on this split.
        data: The split.

    Returns:
        The mapped split.
    """
    return data.mapped(lambda batch: replace_inputs(batch, lambda inputs: mapped(map_fit, inputs)))


def mapped(map_fit: MapFit, inputs: Tensor) -> Tensor:
    """Inputs `[N, …]` after the map, of the same dtype."""
    made = inputs.double()
    axis = map_fit.axis
    if map_fit.permutation:
        made = made.index_select(axis, torch.tensor(map_fit.permutation, device=inputs.device))
    if map_fit.scale:
        shape = [-1 if dimension == axis else 1 for dimension in range(inputs.dim())]
        scale, offset = (
            made.new_tensor(numbers).reshape(shape if len(numbers) > 1 else [1] * inputs.dim())
            for numbers in (map_fit.scale, map_fit.offset)
        )
        made = scale * made + offset
    return made.to(inputs.dtype)


def candidates(train: Tensor, other: Tensor) -> Iterator[MapFit]:
    """Maps that may bring `other` back to `train`, the simplest first; each input `[N, …]`, not yet rated."""
    axis = channel_axis(train)
    ours, theirs = by_channel(train).numpy(), by_channel(other).numpy()
    yield from _affine_maps("one scale and offset", ours, theirs, (), axis)
    if not 1 < len(ours) <= MOST_CHANNELS:
        return
    for ratio, shift in _channel_maps(ours, theirs):
        numbers = tuple(ratio.tolist()), tuple(shift.tolist())
        yield MapFit("a scale and offset a channel", *numbers, (), axis)
    order = _order(_looks(train, ours), _looks(other, theirs))
    if order != list(range(len(order))):
        yield MapFit("other order of channels", (), (), tuple(order), axis)
    spread, level = ours.std() / max(float(theirs.std()), 1e-12), theirs.mean()
    alike = spread * (theirs - level) + ours.mean()
    order = _order(_looks(train, ours), _looks(spread * (other.double() - level) + ours.mean(), alike))
    if order != list(range(len(order))):
        name = "other order of channels, one scale and offset"
        yield from _affine_maps(name, ours, theirs[order], tuple(order), axis)


def _affine_maps(name: str, ours: Table, theirs: Table, order: tuple[int, ...], axis: int) -> Iterator[MapFit]:
    """By the moments; and by quantiles and the range, which are exact for whole numbers and for pixels."""
    scale, offset = _affine(ours, theirs)
    yield MapFit(name, (scale,), (offset,), order, axis)
    for share in ENDS:
        low, high = np.quantile(ours, [share, 1.0 - share], method="nearest")
        start, end = np.quantile(theirs, [share, 1.0 - share], method="nearest")
        if high > low and end > start:
            ratio = float(math.copysign((high - low) / (end - start), scale))
            yield MapFit(name, (ratio,), (float(low - ratio * (start if scale > 0 else end)),), order, axis)


def _channel_maps(ours: Table, theirs: Table) -> Iterator[tuple[Table, Table]]:
    """Scale and offset of each channel, by the moments and by the range."""
    spread, their_spread = ours.std(1), theirs.std(1)
    ratio = np.where(their_spread > 0, spread / np.where(their_spread > 0, their_spread, 1.0), 1.0)
    yield ratio, ours.mean(1) - ratio * theirs.mean(1)
    low, their_low = ours.min(1), theirs.min(1)
    reach, their_reach = ours.max(1) - low, theirs.max(1) - their_low
    ratio = np.where(their_reach > 0, reach / np.where(their_reach > 0, their_reach, 1.0), 1.0)
    yield ratio, low - ratio * their_low


def _affine(ours: Table, theirs: Table) -> tuple[float, float]:
    """Scale and offset under which the means and deviations of all channels, `[C, M]`, fit best.

    Least squares, each channel in units of its own deviation. A negative scale is taken where it fits the
    means, deviations and skewness better.

    Args:
        ours: Values of each channel, as they are to be.
        theirs: As they are.

    Returns:
        Scale and offset.
    """
    mean, deviation, skew = _moments(ours)
    their_mean, their_deviation, their_skew = _moments(theirs)
    weight = 1.0 / np.where(deviation > 1e-12, deviation, max(float(deviation.max()), 1e-12))
    best = (math.inf, 1.0, 0.0)
    for sign in (1.0, -1.0):
        rows = np.concatenate(
            [
                np.stack([their_mean * weight, weight], 1),
                np.stack([sign * their_deviation * weight, np.zeros_like(weight)], 1),
            ]
        )
        wanted = np.concatenate([mean * weight, deviation * weight])
        # Columns of very different size (0–255 against an offset) are brought to one before solving.
        size = np.maximum(np.abs(rows).max(0), 1e-300)
        solved = np.linalg.lstsq(rows / size, wanted, rcond=None)[0] / size
        left = float(((rows @ solved - wanted) ** 2).sum() + 0.1 * ((skew - sign * their_skew) ** 2).sum())
        if left < best[0] - 1e-9:
            best = (left, float(solved[0]), float(solved[1]))
    return best[1], best[2]


def _moments(channels: Table) -> tuple[Table, Table, Table]:
    mean, deviation = channels.mean(1), channels.std(1)
    standard = (channels - mean[:, None]) / np.where(deviation > 0, deviation, 1.0)[:, None]
    return mean, deviation, np.asarray((standard**3).mean(1))


def _looks(tensor: Tensor, channels: Table) -> Table:
    """What a channel looks like: its quantiles and, where it has positions, its mean pattern over them."""
    quantiles: Table = np.asarray(np.quantile(channels, QUANTILES, axis=1)).T
    if tensor.dim() < 3:
        return quantiles
    pattern = tensor.double().mean(0).movedim(channel_axis(tensor) - 1, 0).flatten(1)[:, None]
    pooled = torch.nn.functional.adaptive_avg_pool1d(pattern, min(PATTERN, pattern.shape[2]))[:, 0]
    return np.concatenate([quantiles, pooled.numpy()], 1)


def _order(ours: Table, theirs: Table) -> list[int]:
    """For each of our channels, the one of theirs that looks most like it, each taken once."""
    from scipy.optimize import linear_sum_assignment

    size = np.maximum(ours.std(0), 1e-12)
    distance = np.abs(ours[:, None] / size - theirs[None] / size).sum(2)
    return [int(column) for column in linear_sum_assignment(distance)[1]]
