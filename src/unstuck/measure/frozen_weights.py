"""Which weights are frozen, and whether at values that were learnt or at values that were drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import nn

from unstuck.measure.preparation import Prepared
from unstuck.setup import Setup
from unstuck.setup.randomness import isolated


@final
@dataclass(frozen=True, slots=True)
class FrozenWeights:
    """The parameters with `requires_grad=False`.

    Attributes:
        total: Numbers in all floating-point parameters.
        frozen: How many of them are frozen.
        drawn: How many of the frozen ones are drawn anew with each seed, so that nothing can have been learnt there.
        layers: Names of the modules that own frozen parameters.
        draws_weights: Whether the model comes from a factory; of a live one, what was drawn cannot be told.
    """

    cost: ClassVar[float] = 0.0

    total: int
    frozen: int
    drawn: int
    layers: tuple[str, ...]
    draws_weights: bool

    @classmethod
    def measure(cls, prepared: Prepared) -> FrozenWeights:
        """Build the model from two seeds and compare."""
        setup = prepared.setup
        first = _parameters(setup, setup.seed)
        frozen = {name: each for name, each in first.items() if not each.requires_grad}
        drawn = 0
        if frozen and setup.model.draws_weights:
            other = _parameters(setup, setup.seed + 1)
            drawn = sum(
                each.numel()
                for name, each in frozen.items()
                if name in other and not torch.equal(each.detach(), other[name].detach())
            )
        return cls(
            total=sum(each.numel() for each in first.values()),
            frozen=sum(each.numel() for each in frozen.values()),
            drawn=drawn,
            layers=tuple(dict.fromkeys(name.rpartition(".")[0] or name for name in frozen)),
            draws_weights=setup.model.draws_weights,
        )


def _parameters(setup: Setup, seed: int) -> dict[str, nn.Parameter]:
    with isolated(seed):
        model, _ = setup.model.make()
    return {name: each for name, each in model.named_parameters() if each.is_floating_point()}
