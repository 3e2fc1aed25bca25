"""Features of a position and its surroundings, for tasks with a target for every position.

In a sequence only the position itself and those before it are seen: where the target is the next item,
looking ahead would give it away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor
from torch.nn import functional

from unstuck.measure.features import InputKind, Table, input_kind
from unstuck.measure.protocol import NotMeasurable

BEFORE: Final = 3
"""Positions of a sequence that are seen: the position itself and those right before it."""

BUCKETS: Final = 64
"""Tokens told apart at most."""

WIDEST: Final = 32
"""Features of a position that are looked at most."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """A fitted way from inputs to one row a position.

    Attributes:
        positions: Shape of the positions.
        mean: Of each column, shape `[D]`.
        scale: Standard deviation of each column, 1 for a constant one.
    """

    positions: tuple[int, ...]
    mean: Table
    scale: Table

    @classmethod
    def fit(cls, inputs: list[Tensor], positions: tuple[int, ...]) -> Windows:
        """Learn the columns from the training inputs, each `[N, …]`; `positions` is those of the targets."""
        table = _rows(inputs, positions)
        scale = table.std(0)
        scale[scale == 0.0] = 1.0
        return cls(positions, table.mean(0), scale)

    def table(self, inputs: list[Tensor]) -> Table:
        """One row a position, shape `[N · positions, D]`."""
        table: Table = (_rows(inputs, self.positions) - self.mean) / self.scale
        return table


def _rows(inputs: list[Tensor], positions: tuple[int, ...]) -> Table:
    parts = [made for made in (_around(part, positions) for part in inputs) if made is not None]
    if not parts:
        raise NotMeasurable("no input has the positions that the targets have")
    columns = torch.cat(parts, 1)
    return columns.movedim(1, -1).reshape(-1, columns.shape[1]).double().numpy()


def _around(part: Tensor, positions: tuple[int, ...]) -> Tensor | None:
    """Features `[N, D, …]` of every position of one input, or None where it has others."""
    if len(positions) == 2 and part.shape[2:] == positions and part.dim() == 4:
        images = part.float()[:, :WIDEST]
        return functional.unfold(images, 3, padding=1).reshape(len(images), -1, *positions)
    if len(positions) != 1:
        return None
    if input_kind(part) is InputKind.TOKENS and part.shape[1:] == positions:
        hot = functional.one_hot(part.long() % BUCKETS, BUCKETS)
        series = hot.float().transpose(1, 2)
    elif part.dim() == 2 and part.shape[1:] == positions:
        series = part.float()[:, None]
    elif part.dim() == 3 and part.shape[1:2] == positions:
        series = part.float().transpose(1, 2)[:, :WIDEST]
    elif part.dim() == 3 and part.shape[2:] == positions:
        series = part.float()[:, :WIDEST]
    else:
        return None
    padded = functional.pad(series, (BEFORE - 1, 0))
    return torch.cat([padded[..., i : i + positions[0]] for i in range(BEFORE)], 1)
