"""Noise in the gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn

from unstuck.setup import Edit, Setup

DECAY: Final = 0.55
"""Power of the step by which the noise dies out (Neelakantan et al. 2015)."""


def add_gradient_noise(setup: Setup, norm: float) -> Setup:
    """Add normal noise to every gradient, which dies out over the run.

    A. Neelakantan et al., "Adding gradient noise improves learning for very deep networks", 2015: variance
    η / (1 + t)^0.55 at step t.

    Args:
        setup: What is trained.
        norm: Norm of the noise over all parameters at the first step, such as that of a usual gradient.

    Returns:
        The changed set-up.
    """

    def apply(model: nn.Module) -> nn.Module:
        trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        deviation = norm / max(1, sum(parameter.numel() for parameter in trainable)) ** 0.5
        for parameter in trainable:
            parameter.register_hook(_noise(deviation))
        return model

    return setup.with_edit(Edit("gradients", "as computed", f"with noise of norm {norm:.3g} that dies out", apply))


def _noise(deviation: float) -> Callable[[Tensor], Tensor]:
    steps = 0

    def hook(gradient: Tensor) -> Tensor:
        nonlocal steps
        steps += 1
        scale: float = deviation * steps ** (-DECAY / 2.0)
        return gradient + scale * torch.randn_like(gradient)

    return hook
