"""The training loss of outputs that do not look at the inputs, with its gradient in their parameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unstuck.loop.stages import compute_loss
from unstuck.measure.descent import Array
from unstuck.setup import Batch, Setup
from unstuck.setup.batch import length


def loss_and_slope(
    setup: Setup, batches: list[Batch], point: Array, outputs: Callable[[Tensor], Callable[[Batch], Any]]
) -> tuple[float, Array]:
    """The mean loss over batches, each weighted by its samples.

    Args:
        setup: Gives the loss.
        batches: On the set-up's device.
        point: The parameters, shape `[P]`.
        outputs: Makes of the parameters what gives the outputs on a batch.

    Returns:
        Loss and gradient, shape `[P]`; infinite, with a gradient of zeros, where one of them is not finite.

    Raises:
        ValueError: If the loss does not depend on the outputs.
    """
    weights = [length(batch) for batch in batches]
    with torch.enable_grad():
        parameters = torch.from_numpy(point.copy()).requires_grad_()
        on = outputs(parameters)
        whole: Tensor = torch.zeros((), dtype=torch.float64)
        for batch, weight in zip(batches, weights, strict=True):
            loss = compute_loss(setup, on(batch), batch)
            whole = whole + loss.double().cpu() * (weight / sum(weights))
        if not whole.requires_grad:
            raise ValueError("the loss does not depend on the outputs through differentiable operations")
        (gradient,) = torch.autograd.grad(whole, parameters)
    value, slope = float(whole.detach()), gradient.numpy().astype(np.float64)
    if math.isnan(value) or not np.isfinite(slope).all():
        return math.inf, np.zeros_like(slope)
    return value, slope
