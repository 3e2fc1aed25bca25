"""Some elements that stand for a whole tensor, without a copy of it: which are looked at and compared in a sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor

COMPARED: Final = 1024
"""Elements of a parameter that are compared before and after the step; all where there are no more."""

COMPARED_SHARE: Final = 256
"""Of larger parameters every so-many-th element at least."""

RUN: Final = 8
"""Elements of a parameter that are compared in a row."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """The elements of P weights that are compared before and after a step, N in all.

    Attributes:
        where: Address of each weight, shape `[P]`.
        places: Views of the elements of each, shape `[P]`.
        owners: Weight of each element, shape `[N]`.
        scale: Elements of a weight for each that is compared, shape `[P]`.
    """

    where: tuple[int, ...]
    places: tuple[Tensor, ...]
    owners: Tensor
    scale: Tensor


def compared_of(weights: Sequence[Tensor], before: Compared) -> Compared:
    """Some elements of each weight: the views of the sample before, while the weights lie where they lay.

    Args:
        weights: Those of a model, shape `[P]`.
        before: What was compared in the sample before.

    Returns:
        What to compare; `before` itself where that still serves.
    """
    where = tuple(weight.data_ptr() for weight in weights)
    if where == before.where and 0 not in where:
        return before
    wanted = [max(COMPARED, weight.numel() // COMPARED_SHARE) for weight in weights]
    places = [some_of(weight.detach(), most, RUN) for weight, most in zip(weights, wanted, strict=True)]
    sizes = torch.tensor([place.numel() for place in places])
    shares = [max(1, each.numel()) / max(1, place.numel()) for each, place in zip(weights, places, strict=True)]
    device = places[0].device if places else torch.device("cpu")
    owners = torch.arange(len(places)).repeat_interleave(sizes).to(device)
    scale = torch.tensor(shares, dtype=torch.float64).to(device)
    return Compared(where, tuple(places), owners, scale)


def some_of(tensor: Tensor, most: int, run: int) -> Tensor:
    """Evenly spaced runs of a tensor's elements, or all where there are no more: always a view of it.

    Runs, because single elements would each cost a cache line.

    Args:
        tensor: Any.
        most: Elements that are wanted.
        run: Elements in a row.

    Returns:
        Shape `[R, run]`, or the tensor itself.
    """
    count = tensor.numel()
    if count <= most:
        return tensor
    stride = run * (count // most) | 1  # odd, so that it meets every row and column
    spans = zip(tensor.shape, tensor.stride(), strict=True)
    if 1 + sum((size - 1) * step for size, step in spans) == count:  # densely, in whatever order
        return tensor.as_strided(((count - run) // stride + 1, run), (stride, 1), tensor.storage_offset())
    return tensor[:: min(count // most, len(tensor))]


def row_of(parts: Sequence[Tensor]) -> Tensor:
    """The elements of tensors one after another, also from several devices."""
    if not parts:
        return torch.zeros(0)
    device = parts[0].device
    flat = [part if part.dim() == 1 else part.reshape(-1) for part in parts]
    return torch.cat([part if part.device == device else part.to(device) for part in flat])
