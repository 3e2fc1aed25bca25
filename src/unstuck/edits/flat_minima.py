"""Steps that look for flat minima: the gradient is taken where the loss is highest nearby."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from unstuck.errors import RemedyError
from unstuck.loop.stages import forward_backward
from unstuck.setup import Batch, Setup


def with_sharpness_aware_steps(setup: Setup, radius: float) -> Setup:
    """Step by the gradient at the worst point nearby, to first order; each step costs two.

    P. Foret et al., "Sharpness-aware minimization for efficiently improving generalization", ICLR 2021. The way up is
    as long as a share of the weights themselves, so that it means the same for weights of any size.

    Args:
        setup: What is trained.
        radius: Length of the way up over the norm of the trainable weights.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If its step is not the usual one.
    """
    if setup.train_step is not None or setup.loss is None:
        raise RemedyError("the step must be the usual one, with a loss; this set-up brings its own")
    if isinstance(setup.build()[1], torch.optim.LBFGS):
        raise RemedyError("L-BFGS runs the backward pass in its own closure")
    says = f"with the gradient at the worst point within {radius:g} of the weights' norm"
    described = {**setup.described, "train_step": says}
    return replace(setup, train_step=_AwareStep(setup, radius), described=described)


@final
@dataclass(frozen=True)
class _AwareStep:
    setup: Setup
    radius: float

    def __call__(self, model: nn.Module, optimizer: Optimizer, batch: Batch) -> Tensor:
        optimizer.zero_grad()
        loss = forward_backward(self.setup, model, batch).detach()
        moved = [each for each in model.parameters() if each.grad is not None]
        before = [each.detach().clone() for each in moved]
        slopes = [each.grad for each in moved if each.grad is not None]
        steep = torch.stack([slope.norm() for slope in slopes]).norm()
        size = torch.stack([each.norm() for each in before]).norm()
        if bool(torch.isfinite(steep)) and float(steep) > 0.0:
            with torch.no_grad():
                for each, slope in zip(moved, slopes, strict=True):
                    each.add_(slope, alpha=float(self.radius * size / steep))
            optimizer.zero_grad()
            forward_backward(self.setup, model, batch)
            with torch.no_grad():
                for each, weights in zip(moved, before, strict=True):
                    each.copy_(weights)
        optimizer.step()
        return loss
