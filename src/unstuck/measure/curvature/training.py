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
from unstuck.setup.batch import concatenate, length
from unstuck.setup.randomness import isolated, one_thread

MEMORY_IN_STEPS: Final = 3.0
"""Memory of kept graphs, as a multiple of what one training step needs."""

GRAPH_IN_FORWARDS: Final = 3.0
"""Memory of a kept double-backward graph and of a product through it, in forward graphs, before it is measured."""


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
    try:
        with exact(), counted() as saved:
            first = on(placed[0])()
        # Parameters, gradient and the graph of the forward pass: what one training step needs at least.
        step = saved[0] + 2 * sum(p.numel() * p.element_size() for p in parameters)
        allowed = max(FREE_BYTES, MEMORY_IN_STEPS * step) if memory is None else memory
        if join and (statistics is Statistics.STORED or not _depends_on_batch(model)):
            fitting = max(1, int(allowed / (GRAPH_IN_FORWARDS * max(1, saved[0]))))
            placed = _joined(placed, fitting, on, float(first.detach()))
    except UnstuckError as error:
        raise NotMeasurable(str(error)) from error
    return Surface(parameters, [on(batch) for batch in placed], [max(1, length(b)) for b in placed], allowed)


def _depends_on_batch(model: nn.Module) -> bool:
    """Whether a sample's loss depends on the others of its batch."""
    return any(isinstance(module, _BatchNorm) for module in model.modules())


def _joined(batches: list[Batch], most: int, on: Callable[[Batch], Loss], first: float) -> list[Batch]:
    """Larger chunks, where the loss of two batches joined is the mean of theirs; the batches as given elsewhere."""
    if most < 2 or len(batches) < 2:
        return batches
    try:
        pair = concatenate(batches[:2])
        with torch.no_grad():
            both, second = float(on(pair)()), float(on(batches[1])())
        sizes = length(batches[0]), length(batches[1])
        mean = (sizes[0] * first + sizes[1] * second) / max(1, sum(sizes))
        if abs(both - mean) > 1e-4 * max(abs(mean), 1e-12):
            return batches
        return [concatenate(batches[start : start + most]) for start in range(0, len(batches), most)]
    except (ValueError, TypeError, KeyError, RuntimeError, UnstuckError):
        return batches
