"""Small set-ups of every kind of task and of input, for the tests of the measurements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from unstuck.measure.preparation import Prepared
from unstuck.setup import Setup

Split = tuple[Any, ...]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def setup_of(
    model: Callable[[], nn.Module],
    loss: Any,
    train: Any,
    *,
    validation: Any = None,
    test: Any = None,
    batch_size: int = 50,
    **others: Any,
) -> Setup:
    return Setup.of(
        model=model,
        loss=loss,
        optimizer=lambda parameters: torch.optim.SGD(parameters, 0.01),
        train=train,
        validation=validation,
        test=test,
        batch_size=batch_size,
        epochs=1,
        **others,
    )


def prepared(setup: Setup) -> Prepared:
    return Prepared.measure(setup)


def parts(inputs: Tensor, targets: Tensor, *counts: int) -> list[Split]:
    """Consecutive parts of some samples."""
    return list(zip(inputs.split(list(counts)), targets.split(list(counts)), strict=True))


def blobs(count: int, features: int = 6, classes: int = 4, seed: int = 0, spread: float = 1.0) -> Split:
    """Classes around well separated centres."""
    draws = generator(seed)
    centres = 3.0 * torch.randn(classes, features, generator=generator(99))
    labels = torch.randint(classes, (count,), generator=draws)
    return centres[labels] + spread * torch.randn(count, features, generator=draws), labels


def line(count: int, features: int = 5, outputs: int = 1, seed: int = 0, noise: float = 0.1) -> Split:
    """Numbers that depend linearly on the inputs."""
    draws = generator(seed)
    inputs = torch.randn(count, features, generator=draws)
    weights = torch.randn(features, outputs, generator=generator(98))
    return inputs, inputs @ weights + 7.0 + noise * torch.randn(count, outputs, generator=draws)


def noise(count: int, features: int = 6, classes: int = 3, seed: int = 0) -> Split:
    """Labels that the inputs say nothing about."""
    draws = generator(seed)
    return torch.randn(count, features, generator=draws), torch.randint(classes, (count,), generator=draws)
