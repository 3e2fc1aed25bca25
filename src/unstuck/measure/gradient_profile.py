"""How the gradient changes from the last layer back to the first, before training."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import nn

from unstuck.edits.structure import AFFINE
from unstuck.errors import SetupError
from unstuck.loop.stages import forward_backward
from unstuck.measure.preparation import Prepared
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import Setup
from unstuck.setup.data import gather
from unstuck.setup.randomness import isolated, one_thread

SAMPLES: Final = 64
"""Training samples that the gradient is taken on."""


@final
@dataclass(frozen=True, slots=True)
class GradientProfile:
    """Gradient norm over weight norm of every affine layer, at the start.

    Attributes:
        layers: Names of the trainable affine layers, in the order in which they run, shape `[L]`.
        relative: Gradient norm / weight norm of each, shape `[L]`; NaN for weights that are all zero.
    """

    cost: ClassVar[float] = 0.02

    layers: tuple[str, ...]
    relative: tuple[float, ...]

    @classmethod
    def measure(cls, prepared: Prepared) -> GradientProfile:
        """One backward pass.

        Args:
            prepared: The set-up.

        Returns:
            The profile.

        Raises:
            NotMeasurable: If there is no loss to take the gradient of.
        """
        setup = prepared.setup
        if setup.loss is None:
            raise NotMeasurable("the loss is inside train_step; give `loss` as well")
        found = _profile(setup)
        return cls(tuple(found), tuple(found.values()))

    @property
    def reaching(self) -> float:
        """Gradient at the first layer over the largest of all; NaN where there is no gradient at all."""
        known = [value for value in self.relative if math.isfinite(value)]
        top = max(known, default=0.0)
        return self.relative[0] / top if top > 0.0 else math.nan

    @property
    def factor(self) -> float:
        """Factor on the gradient from a layer to the one before it, evenly over all; below 1 it shrinks."""
        count = len(self.relative) - 1
        return math.nan if count < 1 or not self.reaching > 0.0 else self.reaching ** (1.0 / count)


def _profile(setup: Setup) -> dict[str, float]:
    with isolated(setup.seed), one_thread():
        model, _ = setup.build()
        order: dict[str, nn.Module] = {}

        def note(name: str) -> Callable[..., None]:
            def hook(module: nn.Module, *_: object) -> None:
                order.setdefault(name, module)

            return hook

        handles = [
            module.register_forward_hook(note(name))
            for name, module in model.named_modules()
            if isinstance(module, AFFINE)
        ]
        model.train()
        try:
            forward_backward(setup, model, setup.placed(gather(setup.train.head(SAMPLES))))
        except SetupError as error:
            raise NotMeasurable(str(error)) from error
        finally:
            for handle in handles:
                handle.remove()
    found = {}
    for name, layer in order.items():
        weight = getattr(layer, "weight", None)
        if isinstance(weight, torch.Tensor) and weight.requires_grad and weight.grad is not None:
            norm = float(weight.detach().norm())
            found[name] = float(weight.grad.norm()) / norm if norm > 0.0 else math.nan
    return found
