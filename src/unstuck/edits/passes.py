"""Running a set-up's model once on a few samples: to read it, and to see that an edited one still runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import nn
from torch.optim import Optimizer

from unstuck.errors import RemedyError, SetupError
from unstuck.loop.stages import take_step
from unstuck.setup import Batch, Edit, Setup
from unstuck.setup.batch import split_batch, tensors
from unstuck.setup.data import gather
from unstuck.setup.randomness import isolated, one_thread

SAMPLES: Final = 8
"""Samples that a model is read and checked on."""


def sample(setup: Setup, limit: int = SAMPLES) -> Batch:
    """A few training samples as one batch on the set-up's device."""
    return setup.placed(gather(setup.train.head(limit)))


@contextmanager
def kept_buffers(model: nn.Module) -> Iterator[None]:
    """Put the buffers back behind a pass, such as the running statistics that it moves in training mode.

    Args:
        model: Buffers that come to it inside are left as they are.

    Yields:
        Nothing.
    """
    kept = {name: buffer.clone() for name, buffer in model.named_buffers()}
    try:
        yield
    finally:
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                if name in kept:
                    buffer.copy_(kept[name])


def forward(setup: Setup, model: nn.Module, optimizer: Optimizer, batch: Batch) -> Any:
    """The outputs on a batch, or None where only the user's own step knows how to run the model.

    Args:
        setup: What is trained.
        model: A model made by it, which a step may change.
        optimizer: Made together with it.
        batch: On the device.

    Returns:
        The outputs.
    """
    if setup.forward is None and setup.train_step is not None:
        try:
            split_batch(batch)
        except SetupError:
            with torch.enable_grad():
                take_step(setup, model, optimizer, batch)
            return None
    return setup.outputs(model, batch)


def shapes(setup: Setup) -> list[tuple[int, ...]]:
    """Build the set-up and run it on a few samples: the shapes of all outputs."""
    batch = sample(setup)
    with isolated(setup.seed), one_thread(), torch.no_grad():
        model, optimizer = setup.build()
        model.train()
        return [tuple(tensor.shape) for tensor in tensors(forward(setup, model, optimizer, batch))]


def checked(before: Setup, after: Setup, refusal: str) -> Setup:
    """Give `after`, if it still runs and its outputs have the shapes of `before`'s.

    Args:
        before: The set-up as it was.
        after: The edited one.
        refusal: What to say otherwise, such as "its structure could not be enlarged".

    Returns:
        `after`.

    Raises:
        RemedyError: If it does not run, or its outputs have other shapes.
    """
    expected = shapes(before)
    try:
        got = shapes(after)
    except Exception as error:  # the user's forward may raise anything on a changed model
        raise RemedyError(f"{refusal}: {' '.join(str(error).split())[:300]}") from error
    if got != expected:
        raise RemedyError(f"{refusal}: its outputs would have shapes {got}, not {expected}")
    return after


def with_checked_edit(setup: Setup, edit: Edit, refusal: str) -> Setup:
    """The set-up with one more edit, as `checked`."""
    return checked(setup, setup.with_edit(edit), refusal)
