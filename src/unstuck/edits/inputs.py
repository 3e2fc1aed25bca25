"""Where raw inputs come into a model, and how they are spread."""

from __future__ import annotations

from typing import Any, Final, final

import torch
from torch import Tensor, nn

from unstuck.edits.passes import forward
from unstuck.edits.standardisation import InputScale, statistics
from unstuck.edits.tracing import Trace, trace
from unstuck.errors import RemedyError
from unstuck.loop.stages import stage
from unstuck.setup import Setup
from unstuck.setup.batch import tensors
from unstuck.setup.randomness import isolated, one_thread

SAMPLES: Final = 5000
"""Training samples that statistics are taken from at most."""

CONVOLUTIONS: Final = (nn.Conv1d, nn.ConvTranspose1d, nn.BatchNorm1d)
"""Layers that take `[N, C, L]`."""


def input_scales(setup: Setup) -> tuple[str, tuple[InputScale, ...]]:
    """Statistics of the floating-point inputs as they reach the model.

    Args:
        setup: What is trained.

    Returns:
        Name of the module that raw inputs come in at, "" for the model itself; and the statistics of each.

    Raises:
        RemedyError: If there is no one such module.
    """
    record = trace(setup)
    entry = _entry(record)
    scales = []
    for place, values in sorted(_arguments(setup, entry, max(1, record.root_calls)).items()):
        axis = _axis(record, values)
        scales.append(InputScale(place, axis, *_keeping_constants(values, axis)))
    return entry, tuple(scales)


def _keeping_constants(values: Tensor, axis: int | None) -> tuple[Tensor, Tensor]:
    """Mean and scale of inputs, but a column that never changes becomes ±1, not 0: it may serve as the bias."""
    mean, scale = statistics(values, axis)
    wide = values.reshape(-1, 1) if axis is None else values.movedim(axis, -1).reshape(-1, values.shape[axis])
    constant = ((wide == wide[:1]).all(0) & (wide[0] != 0.0)).reshape(mean.shape)
    return torch.where(constant, 0.0, mean), torch.where(constant, mean.abs(), scale)


def _entry(record: Trace) -> str:
    """Where raw inputs come in: the model itself, or the only module that the user's `forward` calls first."""
    if record.root_calls:
        return ""
    if not record.calls:
        raise RemedyError("the model is never called")
    first = record.calls[0].name
    if record.times(first) > 1:
        raise RemedyError(f"raw inputs come in at model.{first}, which runs several times per batch")
    return first


@final
class _Arrived(Exception):
    """Raised to leave a forward pass as soon as the arguments are known."""


def _arguments(setup: Setup, entry: str, calls: int) -> dict[int, Tensor]:
    """The floating-point tensors that a module is called with on training data, by place, `[N, …]`."""
    parts: dict[int, list[Tensor]] = {}

    def note(module: nn.Module, args: Any, kwargs: Any) -> None:
        masks = {id(value) for name, value in kwargs.items() if "mask" in name}
        given = list(tensors((args, kwargs)))
        rows = next((tensor.shape[0] for tensor in given if tensor.dim()), 0)
        for place, tensor in enumerate(given):
            sampled = tensor.dim() > 0 and rows in tensor.shape[:2]
            if tensor.is_floating_point() and sampled and id(tensor) not in masks:
                parts.setdefault(place, []).append(tensor.detach().cpu().clone())
        if calls == 1:
            raise _Arrived

    with isolated(setup.seed), one_thread(), torch.no_grad():
        model, optimizer = setup.build()
        model.train()
        model.get_submodule(entry).register_forward_pre_hook(note, with_kwargs=True)
        for batch in setup.train.head(SAMPLES):
            try:
                with stage("forward"):
                    forward(setup, model, optimizer, setup.placed(batch))
            except Exception as error:
                if not isinstance(error.__cause__, _Arrived):
                    raise
    return {place: _joined(values) for place, values in parts.items()}


def _joined(values: list[Tensor]) -> Tensor:
    try:
        return torch.cat(values)
    except RuntimeError:  # sequences of several lengths: features are last, so all else may be flattened
        return torch.cat([value.reshape(-1, value.shape[-1]) for value in values])


def _axis(record: Trace, values: Tensor) -> int | None:
    """What each index of an input has its own statistics."""
    dims = values.dim()
    if dims == 1:
        return None
    if dims == 3:
        shape = values.shape[1:]
        takers = (call for call in record.calls if call.input_shape[1:] == shape)
        return 1 if any(isinstance(call.module, CONVOLUTIONS) for call in takers) else 2
    if dims == 4 and values.shape[-1] <= 4 < values.shape[1]:
        return 3  # channels last
    return 1
