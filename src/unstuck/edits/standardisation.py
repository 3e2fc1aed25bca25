"""The fixed layers in front of and behind a model that scale inputs and targets.

They are buffers and a hook on the module itself: a submodule would be run by an `nn.Sequential` as one more
of its layers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, final

import torch
from torch import Tensor, nn

from unstuck.setup.batch import map_tensors, tensors

CONSTANT: Final = 1e-7
"""Standard deviation over mean up to which a float32 column is constant but for rounding."""


def statistics(samples: Tensor, axis: int | None) -> tuple[Tensor, Tensor]:
    """Mean and scale along an axis, over all others.

    Args:
        samples: Shape `[N, …]`.
        axis: What each index of has its own statistics; None for one of each.

    Returns:
        Mean and scale, shape `[K]` or `[]`, float64; the scale of what is constant is 1.
    """
    flat = samples.detach().double()
    columns = flat.reshape(-1, 1) if axis is None else flat.movedim(axis, -1).reshape(-1, flat.shape[axis])
    mean = columns.mean(0)
    deviation = (columns - mean).square().mean(0).sqrt()
    scale = torch.where(deviation > CONSTANT * mean.abs(), deviation, torch.ones_like(deviation))
    return (mean.squeeze(0), scale.squeeze(0)) if axis is None else (mean, scale)


def shaped(values: Tensor, like: Tensor, axis: int | None) -> Tensor:
    """Per-index values in a shape that broadcasts against a tensor with that axis."""
    if axis is None:
        return values.to(like)
    shape = [1] * like.dim()
    shape[axis] = -1
    return values.to(like).reshape(shape)


def add_buffer(module: nn.Module, label: str, value: Tensor) -> str:
    """Register a buffer under a free name, and give that name."""
    name, number = label, 2
    while hasattr(module, name):
        name, number = f"{label}_{number}", number + 1
    place = next((parameter for parameter in module.parameters() if parameter.is_floating_point()), None)
    module.register_buffer(name, value.float() if place is None else value.to(place.device, place.dtype))
    return name


@final
@dataclass(frozen=True)
class InputScale:
    """Statistics of one tensor among a module's arguments.

    Attributes:
        place: Which of the tensors in its arguments, from 0.
        axis: What each index of has its own statistics; None for one of each.
        mean: Shape `[K]` or `[]`.
        scale: Likewise.
    """

    place: int
    axis: int | None
    mean: Tensor
    scale: Tensor


@final
@dataclass(frozen=True)
class _StandardiseArguments:
    names: tuple[tuple[int, int | None, str, str], ...]

    def __call__(self, module: nn.Module, args: Any, kwargs: Any) -> Any:
        chosen = {place: (axis, mean, scale) for place, axis, mean, scale in self.names}
        count = iter(range(sum(1 for _ in tensors((args, kwargs)))))

        def change(tensor: Tensor) -> Tensor:
            place = next(count)
            if place not in chosen:
                return tensor
            axis, mean, scale = chosen[place]
            centred = tensor - shaped(getattr(module, mean), tensor, axis)
            return centred / shaped(getattr(module, scale), tensor, axis)

        return map_tensors((args, kwargs), change)


def standardise_arguments(module: nn.Module, scales: tuple[InputScale, ...]) -> None:
    """Put a fixed layer in front of a module.

    Args:
        module: Changed in place.
        scales: One for each tensor that is to be standardised.
    """
    names = tuple(
        (
            item.place,
            item.axis,
            add_buffer(module, f"input_mean_{item.place}", item.mean),
            add_buffer(module, f"input_scale_{item.place}", item.scale),
        )
        for item in scales
    )
    module.register_forward_pre_hook(_StandardiseArguments(names), with_kwargs=True)


@final
@dataclass(frozen=True)
class _RestoreUnits:
    mean: str
    scale: str

    def __call__(self, module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        restored: Tensor = output * getattr(module, self.scale) + getattr(module, self.mean)
        return restored


def restore_units(module: nn.Module, mean: Tensor, scale: Tensor) -> None:
    """Put a fixed layer behind a module: its outputs times `scale` plus `mean`."""
    names = add_buffer(module, "target_mean", mean), add_buffer(module, "target_scale", scale)
    module.register_forward_hook(_RestoreUnits(*names))


@final
@dataclass(frozen=True, eq=False)
class StandardisedLoss:
    """A loss that compares in standardised units what is given in original ones.

    Attributes:
        loss: The loss in standardised units.
        mean: Of the targets, shape `[K]` or `[]`.
        scale: Likewise.
    """

    loss: Callable[[Any, Any], Tensor]
    mean: Tensor
    scale: Tensor

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of outputs `[N, …]` and targets, shape `[]`."""
        return self.loss(
            (outputs - self.mean.to(outputs)) / self.scale.to(outputs),
            (targets - self.mean.to(targets)) / self.scale.to(targets),
        )
