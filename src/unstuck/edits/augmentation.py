"""More samples out of those that are there, by changes that leave the target as it is, drawn anew at each step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, final

import torch
from torch import Tensor, nn

from unstuck.edits.inputs import input_scales
from unstuck.edits.passes import with_checked_edit
from unstuck.edits.standardisation import InputScale, shaped
from unstuck.errors import RemedyError
from unstuck.languages import marked
from unstuck.setup import Edit, Setup
from unstuck.setup.batch import floating_inputs, map_tensors, split_batch, tensors
from unstuck.setup.data import gather

SHIFT: Final = 8
"""Images and sequences are shifted by at most one part in so many of their length."""

SEED: Final = 0

COMPARED: Final = 400
"""Samples that are compared to see whether a change keeps the label."""

KEEPS: Final = 0.95
"""Share of the changed samples whose nearest neighbour has their label, over the same share unchanged."""


@final
@dataclass(frozen=True)
class _WhileTraining:
    """Changes some of the tensors that a module is called with, in training mode only."""

    changes: tuple[tuple[int, Callable[[Tensor], Tensor]], ...]

    def __call__(self, module: nn.Module, args: Any, kwargs: Any) -> Any:
        if not module.training:
            return None
        chosen = dict(self.changes)
        count = iter(range(sum(1 for _ in tensors((args, kwargs)))))

        def change(tensor: Tensor) -> Tensor:
            by = chosen.get(next(count))
            return tensor if by is None else by(tensor)

        return map_tensors((args, kwargs), change)


def with_noisy_inputs(setup: Setup, share: float) -> Setup:
    """Add normal noise to floating-point inputs while training.

    C. Bishop, "Training with noise is equivalent to Tikhonov regularization", 1995.

    Args:
        setup: What is trained.
        share: Deviation of the noise over that of each feature or channel.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If no input is floating-point.
    """
    entry, scales = _scales(setup)
    changes = tuple((scale.place, _Noise(share, scale)) for scale in scales)
    return _with(setup, entry, changes, f"normal noise of {share:g} deviations")


@final
@dataclass(frozen=True, eq=False)
class _Noise:
    share: float
    scale: InputScale

    def __call__(self, values: Tensor) -> Tensor:
        noise = torch.randn_like(values)
        changed: Tensor = values + self.share * shaped(self.scale.scale, values, self.scale.axis) * noise
        return changed


def with_shifted_inputs(setup: Setup) -> Setup:
    """Shift images, or sequences in time, by up to an eighth of their length; the edge fills what comes in.

    Args:
        setup: What is trained; its targets are classes.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If inputs are neither images nor sequences, or a shift changes what they show.
    """
    entry, scale, inputs, labels = _one_input(setup)
    shift = _Shift(scale.axis if scale.axis is not None else 1)
    _require_label_kept(inputs, labels, shift, marked("a shift"))
    return _with(setup, entry, ((scale.place, shift),), f"shifted by up to 1/{SHIFT} of the length")


@final
@dataclass(frozen=True)
class _Shift:
    channel: int

    def __call__(self, values: Tensor) -> Tensor:
        for axis in range(1, values.dim()):
            if axis != self.channel:
                values = _shifted(values, axis)
        return values


def _shifted(values: Tensor, axis: int) -> Tensor:
    """Each sample moved along an axis by its own number of places, the edge repeated."""
    length, count = values.shape[axis], len(values)
    most = max(1, length // SHIFT)
    by = torch.randint(-most, most + 1, (count, 1), device=values.device)
    index = (torch.arange(length, device=values.device) + by).clamp(0, length - 1)
    shape = [1] * values.dim()
    shape[0], shape[axis] = count, length
    return values.gather(axis, index.reshape(shape).expand_as(values))


def with_flipped_images(setup: Setup) -> Setup:
    """Turn half of the images left to right while training.

    Args:
        setup: What is trained; its targets are classes.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If inputs are no images, or those that are turned look like another class, as digits do.
    """
    entry, scale, inputs, labels = _one_input(setup)
    if inputs.dim() != 4:
        raise RemedyError("its inputs are no images")
    flip = _Flip(2 if scale.axis == 3 else 3)
    _require_label_kept(inputs, labels, lambda images: images.flip(flip.axis), marked("a flip"))
    return _with(setup, entry, ((scale.place, flip),), "half of the images turned left to right")


@final
@dataclass(frozen=True)
class _Flip:
    axis: int

    def __call__(self, values: Tensor) -> Tensor:
        turned = torch.rand(len(values), device=values.device) < 0.5
        return torch.where(turned.reshape(-1, *[1] * (values.dim() - 1)), values.flip(self.axis), values)


def with_jitter(setup: Setup, share: float) -> Setup:
    """Change brightness and contrast of each image while training.

    Args:
        setup: What is trained.
        share: Deviation of both changes, over the deviation of the channel and over 1.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If inputs are no images.
    """
    entry, scale, inputs, _ = _one_input(setup)
    if inputs.dim() != 4:
        raise RemedyError("its inputs are no images")
    return _with(setup, entry, ((scale.place, _Jitter(share, scale)),), f"brightness and contrast by {share:.0%}")


@final
@dataclass(frozen=True, eq=False)
class _Jitter:
    share: float
    scale: InputScale

    def __call__(self, values: Tensor) -> Tensor:
        shape = (len(values), *[1] * (values.dim() - 1))
        first, second = (self.share * torch.randn(shape, device=values.device, dtype=values.dtype) for _ in range(2))
        mean, scale = (shaped(part, values, self.scale.axis) for part in (self.scale.mean, self.scale.scale))
        changed: Tensor = mean + (values - mean) * (1.0 + first) + scale * second
        return changed


def _scales(setup: Setup) -> tuple[str, tuple[InputScale, ...]]:
    entry, scales = input_scales(setup)
    if not scales:
        raise RemedyError("its inputs are whole numbers (tokens or categories)")
    return entry, scales


def _one_input(setup: Setup) -> tuple[str, InputScale, Tensor, Tensor | None]:
    """Where the only floating-point input comes in, some of it `[M, …]`, and their labels where they are classes."""
    entry, scales = _scales(setup)
    batch = gather(setup.train.head(COMPARED))
    inputs, targets = floating_inputs(batch), split_batch(batch)[2]
    if len(scales) != 1 or len(inputs) != 1:
        raise RemedyError("there is not exactly one floating-point input")
    classes = isinstance(targets, Tensor) and targets.dim() == 1 and not targets.is_floating_point()
    return entry, scales[0], inputs[0], targets if classes else None


def _require_label_kept(inputs: Tensor, labels: Tensor | None, change: Callable[[Tensor], Tensor], what: str) -> None:
    """Refuse a change after which the nearest other sample is of another class more often than before it."""
    if inputs.dim() not in (3, 4):
        raise RemedyError("its inputs are neither images nor sequences")
    if labels is None:
        raise RemedyError(f"only where targets are classes can it be seen that {what} keeps them")
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        changed = change(inputs)
    before, after = _agreement(inputs, inputs, labels), _agreement(changed, inputs, labels)
    if after < KEEPS * before:
        raise RemedyError(f"{what} changes the label: the nearest sample has it in {after:.0%}, before in {before:.0%}")


def _agreement(rows: Tensor, others: Tensor, labels: Tensor) -> float:
    """Share of rows whose nearest row among the others, itself left out, has the same label."""
    distances = torch.cdist(rows.flatten(1).double(), others.flatten(1).double())
    distances.fill_diagonal_(torch.inf)
    return float((labels[distances.argmin(1)] == labels).double().mean())


def _with(
    setup: Setup, entry: str, changes: tuple[tuple[int, Callable[[Tensor], Tensor]], ...], description: str
) -> Setup:
    def apply(model: nn.Module) -> nn.Module:
        model.get_submodule(entry).register_forward_pre_hook(_WhileTraining(changes), with_kwargs=True)
        return model

    edit = Edit("training inputs", "as given", description, apply)
    return with_checked_edit(setup, edit, "the inputs could not be changed while training")
