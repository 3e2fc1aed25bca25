"""Changes to the samples: fewer of them, other targets, other rows of a split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor

from unstuck.errors import RemedyError
from unstuck.setup import Data, Setup, StackedData
from unstuck.setup.batch import replace_targets, split_batch

SEED: Final = 0
"""Seeds which samples are kept and which targets are changed: the same for every run."""


def every_split(setup: Setup, change: Callable[[Data], Data]) -> Setup:
    """The set-up with training, validation and test split changed alike."""
    return replace(
        setup,
        train=change(setup.train),
        validation=None if setup.validation is None else change(setup.validation),
        test=None if setup.test is None else change(setup.test),
    )


def in_memory(data: Data) -> StackedData:
    """A split whose samples can be singled out.

    Args:
        data: The split.

    Returns:
        The same.

    Raises:
        RemedyError: If they are not held in memory.
    """
    if not isinstance(data, StackedData):
        raise RemedyError("the samples come from a loader, so none can be singled out")
    return data


def only(data: Data, kept: Tensor) -> StackedData:
    """The samples of a split that are to be kept.

    Args:
        data: The split.
        kept: One truth value a sample, shape `[N]`.

    Returns:
        The rest, in the same order.

    Raises:
        RemedyError: If the samples are not held in memory, or fewer than half of them are kept.
    """
    rows = in_memory(data)
    if 2 * int(kept.sum()) < rows.size:
        raise RemedyError(f"only {int(kept.sum())} of {rows.size} samples would be left")
    return rows.subset(kept.nonzero().flatten())


def fewer_samples(setup: Setup, share: float, least: int) -> Setup:
    """Train on a random part of the training split.

    Args:
        setup: What is trained.
        share: Of the samples that are kept.
        least: Samples that are kept at least.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the samples are not held in memory, or there are too few.
    """
    train = in_memory(setup.train)
    kept = max(least, round(share * train.size))
    if kept >= train.size:
        raise RemedyError(f"{train.size} training samples are too few to leave some out")
    order = torch.randperm(train.size, generator=torch.Generator().manual_seed(SEED))
    return replace(setup, train=train.subset(order[:kept].sort().values))


def with_wrong_targets(setup: Setup, share: float, noise: float) -> Setup:
    """Make a share of the training targets wrong; held-out ones stay right.

    Classes become another class, yes becomes no; numbers get noise.

    Args:
        setup: What is trained.
        share: Of the classes that become wrong.
        noise: Deviation of the noise on numbers, over their own.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the samples are not held in memory, or the targets are no tensor.
    """
    train = in_memory(setup.train)

    def change(samples: Any) -> Any:
        return replace_targets(samples, _wrong(split_batch(samples)[2], share, noise))

    return replace(setup, train=train.mapped(change))


def _wrong(targets: Any, share: float, noise: float) -> Tensor:
    if not isinstance(targets, Tensor):
        raise RemedyError(f"targets must be a tensor to be changed; got {type(targets).__name__}")
    generator = torch.Generator().manual_seed(SEED)
    if not targets.is_floating_point():
        present = targets.unique()
        shift = torch.randint(1, max(2, len(present)), targets.shape, generator=generator)
        place = torch.searchsorted(present, targets)
        other = present[(place + shift) % len(present)]
        return torch.where(torch.rand(targets.shape, generator=generator) < share, other, targets)
    rows = torch.rand(len(targets), generator=generator) < share
    if bool(((targets == 0) | (targets == 1)).all()):
        one_hot = targets.dim() == 2 and targets.shape[1] > 1 and bool((targets.sum(1) == 1).all())
        other = targets.roll(1, dims=1) if one_hot else 1.0 - targets
        return torch.where(rows.reshape(-1, *[1] * (targets.dim() - 1)), other, targets)
    draws = torch.randn(targets.shape, generator=generator)
    noisy: Tensor = targets + noise * targets.std(0, keepdim=True) * draws
    return noisy
