"""A fingerprint of a split, by which it is known again in another run of the program."""

from __future__ import annotations

import hashlib
from typing import Final

import torch

from unstuck.setup import Data, StackedData
from unstuck.setup.batch import tensors

MOST: Final = 20_000
"""Samples of a split that is read through a loader, at most."""

DIGITS: Final = 24
"""Hexadecimal digits that are kept of the hash: two data sets share 96 bits by no chance."""


def fingerprint(data: Data) -> str:
    """Hash inputs and targets, in their order.

    Args:
        data: The split.

    Returns:
        Hexadecimal digits; the same for equal tensors, on every machine of the same byte order.
    """
    digest = hashlib.sha256()
    for batch in [data.samples] if isinstance(data, StackedData) else data.head(MOST):
        for tensor in tensors(batch):
            plain = tensor.detach().cpu().contiguous()
            digest.update(f"{plain.dtype}{list(plain.shape)}".encode())
            digest.update(plain.flatten().view(torch.uint8).numpy().tobytes() if plain.numel() else b"")
    return digest.hexdigest()[:DIGITS]
