"""The stages of one training step, each with its own clear error."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from unstuck.errors import ExaminationError, SetupError, UnstuckError
from unstuck.loop.correcting import corrected
from unstuck.setup import Batch, Setup
from unstuck.setup.advice import advice
from unstuck.setup.batch import tensors
from unstuck.setup.source import user_line


@contextmanager
def stage(name: str, on: str = "") -> Iterator[None]:
    """Turn whatever the user's code raises inside into an `ExaminationError` that names the stage.

    Args:
        name: One of the stages of `ExaminationError`.
        on: The split that is being run on, where that matters.

    Raises:
        ExaminationError: If the code inside raises; also when memory runs out.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, UnstuckError):
            raise
        raise ExaminationError(name, error, user_line(error), advice(name, error), on) from error


def compute_loss(setup: Setup, outputs: Any, batch: Batch) -> Tensor:
    """The set-up's loss on outputs, checked to be a scalar.

    Some losses raise where they are given what is no number (`BCELoss` asks for values between 0 and 1). What has
    diverged is to be examined all the same, so that the loss counts as no number either.

    Args:
        setup: Its `loss` is not None.
        outputs: What the model gave.
        batch: Holds the targets.

    Returns:
        A scalar tensor, shape `[]`.

    Raises:
        SetupError: If the loss is no scalar tensor.
    """
    assert setup.loss is not None  # callers ask only where there is one
    try:
        loss = setup.loss(outputs, setup.targets(batch))
    except Exception:
        given = [each for each in tensors(outputs) if each.is_floating_point()]
        if all(bool(each.isfinite().all()) for each in given):
            raise
        loss = torch.stack([each.sum() for each in given]).sum() * math.nan
    if not isinstance(loss, Tensor):
        raise SetupError(
            "`loss` must return a scalar tensor", type(loss).__name__, "Return the tensor itself, without .item()."
        )
    if loss.numel() != 1:
        raise SetupError(
            "`loss` must return a scalar", f"shape {list(loss.shape)}", "Use reduction='mean', or .mean()."
        )
    if not loss.is_floating_point():
        kind = str(loss.dtype).removeprefix("torch.")
        raise SetupError("`loss` must return a real number", f"one of dtype {kind}", "Return .abs().mean(), say.")
    return loss.reshape(())


def take_step(setup: Setup, model: nn.Module, optimizer: Optimizer, batch: Batch) -> Tensor:
    """One training step: the user's own where they brought one, else the usual one.

    Args:
        setup: What to train.
        model: In training mode.
        optimizer: Over its parameters.
        batch: Already on the device.

    Returns:
        The loss before the step, detached, shape `[]`.

    Raises:
        SetupError: If a loss is no scalar.
    """
    if setup.corrections.none:
        return _own_step(setup, model, optimizer, batch)
    with stage("step"), corrected(setup, model, optimizer):
        return _own_step(setup, model, optimizer, batch)


def _own_step(setup: Setup, model: nn.Module, optimizer: Optimizer, batch: Batch) -> Tensor:
    if setup.train_step is not None:
        with stage("step"):
            return _scalar(setup.train_step(model, optimizer, batch))
    if isinstance(optimizer, torch.optim.LBFGS):
        return _closure_step(setup, model, optimizer, batch)
    optimizer.zero_grad()
    loss = forward_backward(setup, model, batch)
    with stage("step"):
        optimizer.step()
    return loss.detach()


def _scalar(loss: Any) -> Tensor:
    """What a `train_step` returned, as a detached scalar; a plain number will do."""
    if isinstance(loss, (int, float)) and not isinstance(loss, bool):
        return torch.tensor(float(loss))
    if isinstance(loss, Tensor) and loss.numel() == 1 and not loss.is_complex():
        return loss.detach().reshape(())
    got = f"shape {list(loss.shape)}" if isinstance(loss, Tensor) else "None" if loss is None else type(loss).__name__
    raise SetupError("`train_step` must return the loss as a scalar tensor", got, "End it with `return loss`.")


def forward_backward(setup: Setup, model: nn.Module, batch: Batch) -> Tensor:
    """Forward, loss and backward on a batch; gradients are added to what is there. Returns the loss, `[]`."""
    with stage("forward"):
        outputs = setup.outputs(model, batch)
    with stage("loss"):
        loss = compute_loss(setup, outputs, batch)
    with stage("backward"):
        loss.backward()
    return loss


def _closure_step(setup: Setup, model: nn.Module, optimizer: Optimizer, batch: Batch) -> Tensor:
    losses: list[Tensor] = []

    def closure() -> float:
        optimizer.zero_grad()
        losses.append(forward_backward(setup, model, batch).detach())
        return float(losses[-1])

    with stage("step"):
        optimizer.step(closure)
    if not losses:
        raise SetupError("The optimizer must call the closure that it is given", "no call", "Give `train_step`.")
    return losses[0]
