"""The training loss of a set-up as a surface over the weights of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from unstuck.errors import UnstuckError
from unstuck.loop.stages import compute_loss, stage
from unstuck.measure.curvature.modes import Statistics, as_measured, full_precision
from unstuck.measure.curvature.surface import FREE_BYTES, Loss, Surface, counted, exact
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import Batch, Setup
from unstuck.setup.batch import concatenate, length, map_tensors
from unstuck.setup.randomness import isolated, one_thread

MEMORY_IN_STEPS: Final = 3.0
"""Memory of kept graphs, as a multiple of what one training step needs."""

PASSING: Final = 0.45
"""Share of the memory that a product through one chunk may take for itself, by estimate."""

KEPT: Final = 0.65
"""Share that the kept graphs may take, as counted; the estimate of the other share has that much to spare."""

PROBED: Final = 16
"""Samples on which it is seen whether a loss is a mean over samples, and what a sample takes."""

PRODUCT_IN_FORWARDS: Final = 2.7
"""What a product takes for itself, in forward graphs of its chunk, on a CNN and a transformer."""


def surface_of(
    setup: Setup,
    model: nn.Module,
    batches: Sequence[Batch],
    statistics: Statistics = Statistics.BATCH,
    memory: float | None = None,
    join: bool = True,
) -> Surface:
    """The loss of a set-up on some batches, as a function of the weights of a model.

    Dropout is off. Normalisation takes each batch's own statistics, as in training, or the stored ones. Batches are
    joined where the loss is a mean over samples and no statistics depend on the batch, as far as memory allows.

    Args:
        setup: Gives loss and `forward`.
        model: At the point; half precision is widened to float32 in place, so hand over a private copy.
        batches: Training batches.
        statistics: Whose mean and variance normalisation layers take.
        memory: Bytes that graphs may take; three training steps' where not given, and `FREE_BYTES` at least.
        join: Whether batches may be joined; the noise of the gradient is told from how batches differ.

    Returns:
        The surface.

    Raises:
        NotMeasurable: If there is no loss to differentiate, or it cannot be computed.
    """
    if setup.loss is None:
        raise NotMeasurable("the loss is inside train_step; give `loss` as well")
    if not batches:
        raise NotMeasurable("there is no training batch")
    model, cast = full_precision(model)

    def on(batch: Batch) -> Loss:
        def compute() -> Tensor:
            with as_measured(model, statistics), isolated(0), one_thread():
                with stage("forward"):
                    outputs = setup.outputs(model, batch)
                with stage("loss"):
                    return compute_loss(setup, outputs, batch)

        return compute

    placed = [cast(setup.placed(batch)) for batch in batches]
    parameters = list(model.parameters())
    weights = sum(p.numel() * p.element_size() for p in parameters)
    try:
        each, is_mean = _probe(placed[0], on, weights)
    except UnstuckError as error:
        raise NotMeasurable(str(error)) from error
    # Parameters, gradient and the graph of the forward pass: what one training step needs at least.
    step = each * max(1, length(placed[0])) + 2 * weights
    allowed = max(FREE_BYTES, MEMORY_IN_STEPS * step) if memory is None else memory
    if is_mean and (statistics is Statistics.STORED or not _depends_on_batch(model)):
        fitting = int(PASSING * allowed / (PRODUCT_IN_FORWARDS * max(each, 1.0)))
        placed = _resized(placed, max(1, fitting), join=join)
    shares = [max(1, length(batch)) for batch in placed]
    return Surface(parameters, [on(batch) for batch in placed], shares, KEPT * allowed)


def pieces(batches: list[Batch], count: int) -> list[Batch]:
    """The batches, cut into parts of equal size until there are at least `count`, where they can be cut."""
    each = -(-count // max(1, len(batches)))
    sizes = {length(batch) for batch in batches}
    if each < 2 or min(sizes) < 2 * each or len(sizes) > 1:
        return batches
    try:
        return [part for batch in batches for part in _cut(batch, -(-length(batch) // each))]
    except (TypeError, IndexError, RuntimeError):
        return batches


def _depends_on_batch(model: nn.Module) -> bool:
    """Whether a sample's loss depends on the others of its batch."""
    return any(isinstance(module, _BatchNorm) for module in model.modules())


def _probe(batch: Batch, on: Callable[[Batch], Loss], weights: int) -> tuple[float, bool]:
    """Bytes of a forward graph for one sample, and whether the loss is a mean over samples, from a few of them."""
    few = _cut(batch, PROBED)[0] if length(batch) > PROBED else batch
    try:
        value, saved = _counted_value(on(few))
    except UnstuckError:  # a model that takes one size of batch only
        value, saved = _counted_value(on(batch))
        return max(1.0, saved - weights) / max(1, length(batch)), False
    try:
        halves = _cut(few, max(1, length(few) // 2))
        is_mean = _is_mean(value, [_value(on(half)) for half in halves], [length(half) for half in halves])
    except UnstuckError:
        is_mean = False
    return max(1.0, saved - weights) / max(1, length(few)), is_mean


def _resized(batches: list[Batch], most: int, *, join: bool) -> list[Batch]:
    """Chunks of at most `most` samples: batches joined where that is asked for, and cut where they are larger."""
    largest = max(length(batch) for batch in batches)
    try:
        if join and 2 * largest <= most:
            several = most // largest
            return [concatenate(batches[start : start + several]) for start in range(0, len(batches), several)]
        if largest > most:
            return [part for batch in batches for part in _cut(batch, -(-length(batch) // -(-length(batch) // most)))]
    except (ValueError, TypeError, KeyError, IndexError, RuntimeError):
        pass  # ragged batches
    return batches


def _counted_value(loss: Loss) -> tuple[float, int]:
    with exact(), counted() as saved:
        return float(loss().detach()), saved[0]


def _value(loss: Loss) -> float:
    with exact(), torch.no_grad():
        return float(loss())


def _is_mean(whole: float, parts: Sequence[float], sizes: Sequence[int]) -> bool:
    mean = sum(part * size for part, size in zip(parts, sizes, strict=True)) / max(1, sum(sizes))
    return abs(whole - mean) <= 1e-4 * max(abs(mean), 1e-12)


def _cut(batch: Batch, size: int) -> list[Batch]:
    """A batch in pieces of `size` samples; tensors that are not as long as the batch go along whole."""
    count = length(batch)

    def piece(start: int) -> Callable[[Tensor], Tensor]:
        return lambda tensor: tensor[start : start + size] if tensor.dim() and len(tensor) == count else tensor

    return [map_tensors(batch, piece(start)) for start in range(0, count, size)]
