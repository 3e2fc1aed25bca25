"""One sample of a model that several processes train: its parts put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn


def trains_over_ranks(model: nn.Module) -> bool:
    """Whether other processes train this model too, so that they take the same samples."""
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1):
        return False
    wrapped = any(
        type(module).__name__ in {"DistributedDataParallel", "FullyShardedDataParallel"} for module in model.modules()
    )
    return wrapped or any(hasattr(parameter, "placements") for parameter in model.parameters())


def is_first() -> bool:
    """Whether this process writes the record: the only one, or rank 0."""
    distributed = torch.distributed
    return not (distributed.is_available() and distributed.is_initialized()) or distributed.get_rank() == 0


def gathered(values: Sequence[float], device: torch.device) -> torch.Tensor:
    """The numbers of every rank, shape `[W, K]`; one exchange."""
    mine = torch.tensor(values, dtype=torch.float32, device=device)
    everyone = [torch.empty_like(mine) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(everyone, mine)
    return torch.stack(everyone).double().cpu()


def combined(
    norms: Sequence[Sequence[float]],
    sharded: Sequence[bool],
    sums: Sequence[Sequence[float]],
    ahead: int,
    device: torch.device,
) -> tuple[list[list[float]], list[list[float]], int]:
    """Put together what each rank has seen.

    Args:
        norms: Rows of norms, one a parameter, `[3, P]`: of the part that this rank holds.
        sharded: Whether the ranks hold different parts of a parameter, `[P]`; else all hold the same.
        sums: Count, sum, sum of squares and greatest value of each layer's outputs, `[L, 4]`.
        ahead: Steps after which this rank would look again.
        device: Where the ranks exchange numbers.

    Returns:
        The norms of whole parameters, the sums over all ranks, and the steps after which the slowest looks again.
    """
    count = len(sharded)
    mine = [*(value for row in norms for value in row), *(value for row in sums for value in row), float(ahead)]
    table = gathered(mine, device)
    parts = table[:, : 3 * count].view(-1, 3, count)
    joined = torch.where(torch.tensor(sharded), parts.square().sum(0).sqrt(), parts.mean(0))
    outputs = table[:, 3 * count : -1].view(len(table), -1, 4)
    added = outputs.sum(0)
    added[:, 3] = outputs[:, :, 3].amax(0)
    rows: Any = joined.tolist()
    return rows, added.tolist(), int(table[:, -1].amax())
