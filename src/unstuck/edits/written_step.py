"""The usual training step written out as a `train_step` of the user's own, in whatever order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from unstuck.errors import RemedyError
from unstuck.loop.stages import forward_backward
from unstuck.setup import Batch, Setup


@final
@dataclass(frozen=True)
class WrittenStep:
    """Does its parts in the order in which they are named.

    Attributes:
        setup: Gives forward and loss.
        order: Of "zero_grad", "backward" (with the forward pass), "clip" and "step".
        clip_norm: At which norm "clip" clips.
    """

    setup: Setup
    order: tuple[str, ...]
    clip_norm: float = 1.0

    def __call__(self, model: nn.Module, optimizer: Optimizer, batch: Batch) -> Tensor:
        """Take a step.

        Returns:
            The loss, shape `[]`.
        """
        loss = torch.zeros(())
        for part in self.order:
            if part == "zero_grad":
                optimizer.zero_grad()
            elif part == "backward":
                loss = forward_backward(self.setup, model, batch)
            elif part == "clip":
                nn.utils.clip_grad_norm_(model.parameters(), self.clip_norm)
            else:
                optimizer.step()
        return loss


def write_step(setup: Setup, *order: str, clip_norm: float = 1.0) -> Setup:
    """The set-up with the usual step written out.

    Args:
        setup: What is trained.
        *order: As in `WrittenStep`.
        clip_norm: Likewise.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If its step is not the usual one.
    """
    if setup.train_step is not None or setup.loss is None:
        raise RemedyError("the step must be the usual one, with a loss; this set-up brings its own")
    if isinstance(setup.build()[1], torch.optim.LBFGS):
        raise RemedyError("L-BFGS runs the backward pass in its own closure")
    return replace(setup, train_step=WrittenStep(setup, order, clip_norm))
