"""Other losses on the same outputs: those that fit a task, and the slips that people make."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from unstuck.edits.activations import drop_final_activation
from unstuck.edits.passes import sample
from unstuck.edits.structure import final_activation_of
from unstuck.edits.tracing import trace
from unstuck.errors import RemedyError
from unstuck.loop.stages import forward_backward
from unstuck.setup import Setup
from unstuck.setup.randomness import isolated, one_thread
from unstuck.setup.record import Loss

GRADIENT_SAMPLES: Final = 64
"""Samples that the size of a gradient is taken from."""

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


def absolute_error_to_one_hot(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean absolute error of outputs `[N, C, …]` to class numbers or one-hot targets, shape `[]`."""
    labels = class_labels(outputs, targets)
    hot = functional.one_hot(labels, outputs.shape[1]).movedim(-1, 1)
    return functional.l1_loss(outputs, hot.to(outputs.dtype))


def with_gradient_like(changed: Setup, given: Setup) -> Setup:
    """A set-up whose loss is scaled so that training starts with a gradient of the size that another's has.

    Args:
        changed: Has another loss.
        given: The yardstick, of which `changed` was made.

    Returns:
        `changed` with a factor before its loss; as it is where either gradient is zero or not finite.
    """
    loss = given_loss(changed)
    sizes = gradient_size(given), gradient_size(changed)
    if not all(math.isfinite(size) and size > 0.0 for size in sizes):
        return changed
    factor = sizes[0] / sizes[1]

    def scaled(outputs: Any, targets: Any) -> Tensor:
        return factor * loss(outputs, targets)

    return changed.with_loss(scaled, f"{factor:.3g} · {changed.described.get('loss', 'loss')}")


def gradient_size(setup: Setup) -> float:
    """Norm of the gradient of all weights at the start, on a few training samples."""
    with isolated(setup.seed), one_thread(), torch.enable_grad():
        own, model, _ = setup.fresh()
        batch = sample(own, GRADIENT_SAMPLES)
        forward_backward(own, model, batch)
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        return math.sqrt(sum(float(gradient.double().square().sum()) for gradient in gradients))


def squared_error_to_labels(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error to zeros and ones, which class numbers are made into along dimension 1, shape `[]`."""
    if targets.numel() == outputs.numel():
        return squared_error(outputs, targets)
    hot = functional.one_hot(class_labels(outputs, targets), outputs.shape[1]).movedim(-1, 1)
    return functional.mse_loss(outputs, hot.to(outputs.dtype))


def require_scaled_steps(setup: Setup) -> None:
    """Refuse optimizers that divide by the gradient's size, for which a loss of another scale is the same.

    Args:
        setup: What is trained.

    Raises:
        RemedyError: If the optimizer is none of those whose steps grow with the gradient.
    """
    with isolated(setup.seed):
        optimizer = setup.build()[1]
    if not isinstance(optimizer, (torch.optim.SGD, torch.optim.ASGD)):
        raise RemedyError(f"the steps of {type(optimizer).__name__} hardly depend on the scale of the loss")
