"""How a model is run while its curvature is measured: dropout off, chosen statistics, full precision."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from unstuck.setup import Batch
from unstuck.setup.batch import map_tensors


class Statistics(enum.Enum):
    """Whose mean and variance normalisation layers with running statistics take."""

    BATCH = "each batch's own, as in training"
    STORED = "the stored ones, as in use"


HALVES: Final = (torch.float16, torch.bfloat16)


@contextmanager
def as_measured(model: nn.Module, statistics: Statistics) -> Iterator[None]:
    """Run a model without dropout and without a change of its buffers inside.

    Layers that the user left in evaluation mode keep the stored statistics either way. Layers that take the batch's
    statistics are not shown their running ones: updating those in place would spoil graphs that are kept.

    Args:
        model: Its modes are put back.
        statistics: What normalisation layers take.

    Yields:
        Nothing.
    """
    modes = [(module, module.training) for module in model.modules()]
    norms = [
        (module, module.track_running_stats)
        for module, training in modes
        if isinstance(module, _NormBase) and training and statistics is Statistics.BATCH
    ]
    try:
        for module, _ in modes:
            module.training = False
        for norm, _ in norms:
            norm.training, norm.track_running_stats = True, False
        yield
    finally:
        for module, training in modes:
            module.training = training
        for norm, tracks in norms:
            norm.track_running_stats = tracks


def full_precision(model: nn.Module) -> tuple[nn.Module, Callable[[Batch], Batch]]:
    """Widen a model in half precision to float32, in place, and give what does the same to its batches.

    Curvature is a difference of gradients; three digits would leave nothing of it.

    Args:
        model: A private copy.

    Returns:
        The model, and the function for batches.
    """
    if not any(parameter.dtype in HALVES for parameter in model.parameters()):
        return model, lambda batch: batch

    def widen(tensor: Tensor) -> Tensor:
        return tensor.float() if tensor.dtype in HALVES else tensor

    return model.float(), lambda batch: map_tensors(batch, widen)
