"""The stages of one training step, each with its own clear error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from unstuck.errors import ExaminationError, SetupError, UnstuckError
from unstuck.setup import Batch, Setup
from unstuck.setup.source import user_line

_ADVICE = {
    "data": "Read one batch by itself.",
    "forward": "Run the model on one batch by itself and check shapes and dtypes.",
    "loss": "Call the loss on one batch of outputs and targets by itself.",
    "backward": "Check that the loss depends on the parameters through differentiable operations.",
    "step": "Run the optimizer step by itself.",
    "schedule": "Step the scheduler by itself.",
}


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Turn whatever the user's code raises inside into an `ExaminationError` that names the stage.

    Args:
        name: One of the stages of `ExaminationError`.

    Raises:
        ExaminationError: If the code inside raises; also when memory runs out.
    """
    try:
        yield
    except UnstuckError:
        raise
    except torch.OutOfMemoryError as error:
        raise ExaminationError(name, error, user_line(error), "Use a smaller batch_size or a smaller model.") from error
    except MemoryError as error:
        raise ExaminationError(name, error, user_line(error), "Use a smaller batch_size or a smaller model.") from error
    except Exception as error:
        raise ExaminationError(name, error, user_line(error), _ADVICE.get(name, "")) from error


def compute_loss(setup: Setup, outputs: Any, batch: Batch) -> Tensor:
    """The set-up's loss on outputs, checked to be a scalar.

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
    loss = setup.loss(outputs, setup.targets(batch))
    if not isinstance(loss, Tensor):
        raise SetupError(
            "`loss` must return a scalar tensor", type(loss).__name__, "Return the tensor itself, without .item()."
        )
    if loss.numel() != 1:
        raise SetupError(
            "`loss` must return a scalar", f"shape {list(loss.shape)}", "Use reduction='mean', or .mean()."
        )
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
    if setup.clear_gradients:
        optimizer.zero_grad()
    if setup.train_step is not None:
        with stage("step"):
            loss = setup.train_step(model, optimizer, batch)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            got = f"shape {list(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
            raise SetupError("`train_step` must return the loss as a scalar tensor", got, "End it with `return loss`.")
        return loss.detach().reshape(())
    if isinstance(optimizer, torch.optim.LBFGS):
        return _closure_step(setup, model, optimizer, batch)
    optimizer.zero_grad()
    loss = forward_backward(setup, model, batch)
    with stage("step"):
        optimizer.step()
    return loss.detach()


def forward_backward(setup: Setup, model: nn.Module, batch: Batch) -> Tensor:
    """Forward, loss and backward on a batch; gradients are added to what is there. Returns the loss, `[]`."""
    with stage("forward"):
        outputs = setup.outputs(model, batch)
    with stage("loss"):
        loss = compute_loss(setup, outputs, batch)
    with stage("backward"):
        loss.backward()  # type: ignore[no-untyped-call]
    return loss


def _closure_step(setup: Setup, model: nn.Module, optimizer: torch.optim.LBFGS, batch: Batch) -> Tensor:
    losses: list[Tensor] = []

    def closure() -> float:
        optimizer.zero_grad()
        losses.append(forward_backward(setup, model, batch).detach())
        return float(losses[-1])

    with stage("step"):
        optimizer.step(closure)
    return losses[0]
