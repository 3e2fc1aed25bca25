"""Norms of dense, sparse and half-precision tensors, as plain numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

COUNTED: Final = 65_536
"""Elements that are looked at for a share; counting zeros takes a hundred times as long as a norm."""


HALF: Final = (torch.float16, torch.bfloat16)


def _dense(tensor: Tensor) -> Tensor:
    """The values that a norm is taken of, in at least single precision."""
    values = tensor.coalesce().values() if tensor.is_sparse else tensor
    return values.float() if values.dtype in HALF else values


def norm(tensors: Sequence[Tensor]) -> float:
    """Euclidean norm of all tensors together; 0 where there are none."""
    return float(torch.linalg.vector_norm(torch.stack(norms(tensors)), dtype=torch.float64)) if tensors else 0.0


@torch.no_grad()
def norms(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Euclidean norm of each tensor, shape `[]`, by one kernel where they are alike, left on the device."""
    return tuple(torch._foreach_norm([_dense(tensor) for tensor in tensors])) if tensors else ()


@torch.no_grad()
def square(tensor: Tensor) -> float:
    """Sum of squares."""
    return float(torch.linalg.vector_norm(_dense(tensor)).double().square())


def zero_share(tensor: Tensor) -> float:
    """Share of exact zeros, on evenly spaced elements where there are many."""
    if tensor.numel() > COUNTED and tensor.is_contiguous():
        tensor = tensor.view(-1)[:: tensor.numel() // COUNTED | 1]  # odd, so that it meets every channel
    return float((tensor == 0).sum()) / tensor.numel()
