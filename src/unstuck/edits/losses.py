"""Other losses on the same outputs: those that fit a task, and the slips that people make."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from unstuck.edits.activations import drop_final_activation
from unstuck.edits.structure import final_activation_of
from unstuck.edits.tracing import trace
from unstuck.errors import RemedyError
from unstuck.setup import Setup
from unstuck.setup.record import Loss

OUTPUT_FORM: Final = "output_form"
"""Field of `Setup.described`: what the outputs have become, where a change of the loss makes them something else."""


def given_loss(setup: Setup) -> Loss:
    """The set-up's loss.

    Args:
        setup: What is trained.

    Returns:
        It.

    Raises:
        RemedyError: If it is inside the user's own step.
    """
    if setup.loss is None or setup.train_step is not None:
        raise RemedyError("the loss is called inside `train_step`, which is the user's own code")
    return setup.loss


def with_outputs_as(setup: Setup, loss: Loss, name: str, form: str) -> Setup:
    """The set-up with another loss, for which the outputs are something else than before.

    Args:
        setup: What is trained.
        loss: The other loss.
        name: Of the loss, for the diff of the set-up.
        form: What it takes the outputs to be, such as "logits".

    Returns:
        The changed set-up.
    """
    changed = setup.with_loss(loss, name)
    return replace(changed, described={**changed.described, OUTPUT_FORM: form})


def on_logits(setup: Setup) -> Setup:
    """The set-up without its last activation, where there is one."""
    return setup if final_activation_of(trace(setup)) is None else drop_final_activation(setup)


def class_labels(outputs: Tensor, targets: Tensor) -> Tensor:
    """Class numbers `[N, …]` from class numbers or from targets that are one-hot along dimension 1."""
    one_hot = targets.shape == outputs.shape and outputs.dim() > 1
    return targets.argmax(1) if one_hot else targets.reshape(len(outputs), *outputs.shape[2:]).long()


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of logits `[N, C, …]` against class numbers or one-hot targets, shape `[]`."""
    return functional.cross_entropy(outputs, class_labels(outputs, targets))


def binary_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy of logits against zeros and ones in any shape that matches, shape `[]`."""
    wanted = targets.reshape(outputs.shape).to(outputs.dtype)
    return functional.binary_cross_entropy_with_logits(outputs, wanted)


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error against targets in any shape that matches, shape `[]`."""
    return functional.mse_loss(outputs, targets.reshape(outputs.shape).to(outputs.dtype))


def cross_entropy_of_chances(outputs: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy of probabilities as its formula has it; NaN for outputs beyond 0 and 1, shape `[]`."""
    wanted = targets.reshape(outputs.shape).to(outputs.dtype)
    return -(wanted * outputs.log() + (1.0 - wanted) * (1.0 - outputs).log()).mean()


def gradient_size(loss: Any, outputs: Tensor, targets: Any) -> float:
    """Norm of a loss's gradient with respect to the outputs `[N, …]`."""
    with torch.enable_grad():
        leaf = outputs.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(leaf, targets), leaf)
    return float(gradient.double().norm())
