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

KEPT: Final = 0.65
"""Share of the memory that the kept graphs may take; what they do not take is left to a product."""

PROBED: Final = 16
"""Samples on which it is seen whether a loss is a mean over samples, and what a sample takes."""

PRODUCT_IN_FORWARDS: Final = 1.8
"""What a product takes for itself, in forward graphs of its chunk: 1.7 on a CNN and a transformer, 1.0 on an MLP."""

VECTORS: Final = 4
"""Vectors of all weights that a product holds besides."""

CACHED: Final = 4 * 2**20
"""Bytes of a chunk's forward graph, at most, on a processor: larger ones go through memory instead of its caches, which
took a CNN half as long again."""


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

    placed = [map_tensors(cast(setup.placed(batch)), _by_itself) for batch in batches]
    parameters = list(model.parameters())
    weights = sum(p.numel() * p.element_size() for p in parameters)
    try:
        each, kept = _taken_by_one(placed[0], on, parameters)
    except UnstuckError as error:
        raise NotMeasurable(str(error)) from error
    # Parameters, gradient and the graph of the forward pass: what one training step needs at least.
    step = each * max(1, length(placed[0])) + 2 * weights
    allowed = max(FREE_BYTES, MEMORY_IN_STEPS * step) if memory is None else memory
    if statistics is Statistics.STORED or not _depends_on_batch(model):
        kept_by_all = min(KEPT * allowed, kept * sum(map(length, placed)))
        passing = (allowed - kept_by_all - VECTORS * weights) / PRODUCT_IN_FORWARDS
        if parameters[0].device.type == "cpu":
            passing = min(passing, CACHED)
        fitting = int(passing / each)
        resized = _resized(placed, max(1, fitting), join=join)
        if resized is not placed and _is_mean(placed[0], on):
            placed = resized
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


def _taken_by_one(batch: Batch, on: Callable[[Batch], Loss], parameters: Sequence[nn.Parameter]) -> tuple[float, float]:
    """Bytes for one sample of the graph of a forward pass, and of the one that products keep, from a few samples."""
    few = _part(batch, 0, PROBED)
    try:
        forward, kept = _saved(on(few), parameters)
    except UnstuckError:  # a model that takes one size of batch only
        few = batch
        forward, kept = _saved(on(few), parameters)
    weights = sum(parameter.numel() * parameter.element_size() for parameter in parameters)
    count = max(1, length(few))
    return max(1.0, forward - weights) / count, max(1.0, kept - weights) / count


def _is_mean(batch: Batch, on: Callable[[Batch], Loss]) -> bool:
    """Whether the loss is a mean over samples, from a few of them."""
    few = _part(batch, 0, PROBED)
    halves = _cut(few, max(1, length(few) // 2))
    try:
        whole, parts = _value(on(few)), [_value(on(half)) for half in halves]
    except UnstuckError:
        return False
    mean = sum(part * length(half) for part, half in zip(parts, halves, strict=True)) / max(1, length(few))
    return abs(whole - mean) <= 1e-4 * max(abs(mean), 1e-12)


def _resized(batches: list[Batch], most: int, *, join: bool) -> list[Batch]:
    """Chunks of at most `most` samples: batches joined where that is asked for, and cut where they are larger."""
    largest = max(length(batch) for batch in batches)
    try:
        if join and len(batches) > 1 and 2 * largest <= most:
            several = most // largest
            return [concatenate(batches[start : start + several]) for start in range(0, len(batches), several)]
        if largest > most:
            return [part for batch in batches for part in _cut(batch, -(-length(batch) // -(-length(batch) // most)))]
    except (ValueError, TypeError, KeyError, IndexError, RuntimeError):
        pass  # ragged batches
    return batches


def _saved(loss: Loss, parameters: Sequence[nn.Parameter]) -> tuple[int, int]:
    """Bytes that the forward pass saves, and those that the graph of its gradient holds besides and with them."""
    with exact(), counted() as saved:
        value = loss()
        forward = saved[0]
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        if value.requires_grad:
            torch.autograd.grad(value, trained, create_graph=True, allow_unused=True)
        return forward, saved[0]


def _value(loss: Loss) -> float:
    with exact(), torch.no_grad():
        return float(loss())


def _cut(batch: Batch, size: int) -> list[Batch]:
    """A batch in pieces of `size` samples."""
    return [_part(batch, start, size) for start in range(0, length(batch), size)]


def _part(batch: Batch, start: int, size: int) -> Batch:
    """Some samples of a batch; tensors that are not as long as the batch go along whole."""
    count = length(batch)
    if size >= count:
        return batch

    def cut(tensor: Tensor) -> Tensor:
        return _by_itself(tensor[start : start + size]) if tensor.dim() and len(tensor) == count else tensor

    return map_tensors(batch, cut)


def _by_itself(tensor: Tensor) -> Tensor:
    """A part of a larger tensor, copied, so that what its graph holds can be counted."""
    if tensor.layout is not torch.strided:
        return tensor
    held = tensor.untyped_storage().nbytes()
    return tensor.clone() if held > tensor.numel() * tensor.element_size() else tensor
