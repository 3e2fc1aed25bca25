"""The training step of a script, where it is not the usual one: what it does, in the order in which it does it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from unstuck.capture.program import Program, Reference
from unstuck.setup import Batch


@final
@dataclass(eq=False)
class RecordedStep:
    """A training step as it was seen: `(model, optimizer, batch) -> loss`.

    Attributes:
        whole: From the batch to the loss.
        entries: What the parts of a batch stand for, the targets last.
        constants: Tensors from outside.
        clears: Whether gradients are cleared before they are added up.
        repeats: Backward passes that are added up for one step.
        clips: What gradients are clipped by: "norm" or "value", and the limit.
        evaluates: Whether the model is in evaluation mode.
        in_vain: Whether gradients are cleared between the backward pass and the step.
        calls: Backward passes so far.
    """

    whole: Program
    entries: tuple[Reference, ...]
    constants: dict[int, Tensor]
    clears: bool = True
    repeats: int = 1
    clips: tuple[tuple[str, float], ...] = ()
    evaluates: bool = False
    in_vain: bool = False
    calls: int = field(default=0)

    @property
    def is_usual(self) -> bool:
        """Whether it does what a loop does anyway: clear, forward, backward, step."""
        return self.clears and self.repeats == 1 and not (self.clips or self.evaluates or self.in_vain)

    def __call__(self, model: nn.Module, optimizer: Optimizer, batch: Batch) -> Tensor:
        """Take the step."""
        if self.evaluates:
            model.eval()
        if self.clears and self.calls % self.repeats == 0:
            optimizer.zero_grad()
        loss = self.loss(model, batch)
        (loss / self.repeats if self.repeats > 1 else loss).backward()
        if self.in_vain:
            optimizer.zero_grad()
        self.calls += 1
        if self.calls % self.repeats == 0:
            held = [each for group in optimizer.param_groups for each in group["params"]]
            for kind, limit in self.clips:
                clip = nn.utils.clip_grad_norm_ if kind == "norm" else nn.utils.clip_grad_value_
                clip(held, limit)
            optimizer.step()
        return loss.detach()

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The loss of a batch.

        Args:
            model: In the mode that it is meant to run in.
            batch: Prepared.

        Returns:
            The loss, not scaled, shape `[]`.
        """
        targets = len(self.entries) - len(batch) + 1
        parts = batch if targets == 1 else (*batch[:-1], *batch[-1])
        constants = self.constants
        if self.whole.differentiates:
            parts = tuple(_differentiable(part) for part in parts)
            constants = {key: _differentiable(part) for key, part in constants.items()}
        known = dict(zip(self.entries, parts, strict=True))
        size = next((part.shape[0] for part in parts if isinstance(part, Tensor) and part.dim() > 0), 1)
        made: Any = self.whole.run(constants, model, known, size)
        return made.reshape(()) if isinstance(made, torch.Tensor) else made


def _differentiable(part: Any) -> Any:
    """A part of a batch that derivatives can be taken by; the batch itself stays as it is."""
    if not isinstance(part, Tensor) or not part.is_floating_point():
        return part
    return part.detach().requires_grad_()
