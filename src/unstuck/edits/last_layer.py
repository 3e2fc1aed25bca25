"""The layer that makes the outputs: where its bias and the scale of its weights start."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from unstuck.edits.passes import with_checked_edit
from unstuck.edits.structure import AFFINE, layer_exits
from unstuck.edits.tracing import trace
from unstuck.errors import RemedyError
from unstuck.setup import Edit, Setup
from unstuck.setup.randomness import isolated


def last_affine(setup: Setup) -> str:
    """Name of the linear or convolutional layer that runs last.

    Args:
        setup: What is trained.

    Returns:
        The name.

    Raises:
        RemedyError: If there is none with a bias that runs once.
    """
    record = trace(setup)
    calls = list(layer_exits(record).values())
    last: Any = calls[-1] if calls else None
    if last is None or not isinstance(last.module, AFFINE) or last.module.bias is None or record.times(last.name) != 1:
        raise RemedyError("the outputs come from no linear or convolutional layer with a bias that runs once")
    return str(last.name)


def with_last_layer(setup: Setup, shift: Tensor, factor: float = 1.0) -> Setup:
    """Start the last layer elsewhere.

    Args:
        setup: What is trained.
        shift: Added to its bias, shape `[K]`, once that is multiplied.
        factor: Multiplies its weights and bias.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If there is no such layer, or it has another number of outputs.
    """
    name = last_affine(setup)
    with isolated(setup.seed):
        bias = setup.build()[0].get_submodule(name).bias
    if not isinstance(bias, nn.Parameter) or bias.shape != shift.shape:
        raise RemedyError(f"the last layer has another number of outputs than {shift.numel()}")

    def apply(model: nn.Module) -> nn.Module:
        layer: Any = model.get_submodule(name)
        with torch.no_grad():
            layer.weight.mul_(factor)
            layer.bias.mul_(factor).add_(shift.to(layer.bias))
        return model

    words = [f"bias moved by up to {float(shift.abs().max()):.3g}"]
    words += [] if factor == 1.0 else [f"weights times {factor:.3g}"]
    edit = Edit(f"model.{name} at the start", "as drawn", ", ".join(words), apply)
    return with_checked_edit(setup, edit, "the last layer could not be started elsewhere")
