"""One optimizer for several stacked runs, where it treats every number by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, final

import torch
from torch import Tensor, optim
from torch.optim import Optimizer

ELEMENTWISE: Final = (optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop, optim.Adagrad, optim.NAdam, optim.RAdam)
"""Optimizers whose step on a number depends on that number's own gradient and history only."""

OWN: Final = ("params", "param_names")
"""Keys of a parameter group that are no settings."""


@final
class StackedOptimizer:
    """Steps runs that share their settings by one optimizer over slices of the stack.

    The runs' own optimizers take no steps, but still hold the settings, which a scheduler may change.
    """

    def __init__(
        self,
        optimizers: Sequence[Optimizer],
        factors: Sequence[float],
        stacks: Mapping[str, Tensor],
        names: dict[int, str],
    ) -> None:
        """Make one optimizer for each factor.

        Args:
            optimizers: The runs' own, sorted by factor.
            factors: The factor of each run's rate.
            stacks: Name → parameters of all runs, `[K, …]`.
            names: Identity of each parameter of the runs → its name.
        """
        self.stacks = stacks
        self.parts: list[tuple[slice, Optimizer, float, Optimizer, dict[str, Tensor]]] = []
        for factor in dict.fromkeys(factors):
            chosen = [number for number, each in enumerate(factors) if each == factor]
            part = slice(chosen[0], chosen[-1] + 1)
            source = optimizers[chosen[0]]
            views = {name: stack.detach()[part] for name, stack in stacks.items()}
            groups = [
                {
                    **{key: value for key, value in group.items() if key not in OWN},
                    "params": [views[names[id(each)]] for each in group["params"] if id(each) in names],
                }
                for group in source.param_groups
            ]
            kind: Any = type(source)
            made: Optimizer = kind(groups)
            for parameter, state in source.state.items():
                if id(parameter) in names:
                    made.state[views[names[id(parameter)]]] = {
                        key: _repeated(value, parameter.shape, len(chosen)) for key, value in state.items()
                    }
            self.parts.append((part, source, factor, made, views))

    @staticmethod
    def fits(optimizers: Sequence[Optimizer], factors: Sequence[float]) -> bool:
        """Whether runs with these optimizers can be stepped together."""
        first = optimizers[0]
        if type(first) not in ELEMENTWISE:
            return False
        for optimizer, factor in zip(optimizers, factors, strict=True):
            ours = 0 if factor == 1.0 else 1  # the hook that scales the rate
            hooks = (optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks)
            if any(len(each) != ours for each in hooks):
                return False
            if any(isinstance(group["lr"], Tensor) for group in optimizer.param_groups):
                return False
        return all(parameter.dim() > 0 for parameter in first.state)

    def step(self) -> None:
        """Step all runs along the gradients of the stacks."""
        for part, source, factor, made, views in self.parts:
            for name, view in views.items():
                whole = self.stacks[name].grad
                view.grad = None if whole is None else whole[part]
            for group, settings in zip(made.param_groups, source.param_groups, strict=True):
                for key, value in settings.items():
                    if key not in OWN:
                        group[key] = value
                group["lr"] = settings["lr"] * factor
            made.step()


def _repeated(value: Any, shape: torch.Size, count: int) -> Any:
    """The state of one run for several: stacked where it is one number for each of the parameter's."""
    if not isinstance(value, Tensor):
        return value
    return torch.stack([value] * count) if value.shape == shape else value.clone()
