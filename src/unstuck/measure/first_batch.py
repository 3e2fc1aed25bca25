"""One batch through the untrained model: what comes out, against what is asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import torch
from torch import Tensor

from unstuck.loop.stages import compute_loss, stage
from unstuck.measure.loss_form import OutputForm
from unstuck.measure.preparation import Prepared
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.task import Task
from unstuck.setup import Setup
from unstuck.setup.data import gather
from unstuck.setup.randomness import isolated, one_thread

SAMPLES: Final = 61
"""Samples looked at: odd and no usual number of classes, so that dimensions are not mistaken for each other."""


@final
@dataclass(frozen=True, slots=True)
class FirstBatch:
    """Outputs and loss at initialisation, on some training samples.

    Attributes:
        samples: Number of samples looked at.
        output_shape: Shape of the outputs, `[N, …]`.
        target_shape: Shape of the targets, `[N, …]`.
        broadcast_elements: Elements of the shape that the two broadcast to, over the larger number of elements of
            the two; 1 where they fit, NaN where they do not broadcast.
        mixing: Share of what one sample's target does to the loss's gradient that lands on the outputs of other
            samples; 0 where the loss treats every sample by itself, NaN where the shapes fit and it is not asked.
        output_low: Smallest output.
        output_high: Largest output.
        output_mean: Mean of the outputs.
        output_spread: Standard deviation over samples, root mean square over output positions.
        row_sum_low: Smallest sum of a sample's outputs over dimension 1; NaN where there is one output.
        row_sum_high: Largest likewise.
        target_low: Smallest target.
        target_high: Largest target.
        target_mean: Mean of the targets.
        target_spread: Standard deviation over samples, root mean square over target positions.
        distance: Root mean square of targets − outputs, over positions that belong together; NaN where they do
            not.
        loss: Loss at initialisation.
    """

    cost: ClassVar[float] = 0.0

    samples: int
    output_shape: tuple[int, ...]
    target_shape: tuple[int, ...]
    broadcast_elements: float
    mixing: float
    output_low: float
    output_high: float
    output_mean: float
    output_spread: float
    row_sum_low: float
    row_sum_high: float
    target_low: float
    target_high: float
    target_mean: float
    target_spread: float
    distance: float
    loss: float

    @classmethod
    def measure(cls, prepared: Prepared, task: Task) -> FirstBatch:
        """Run the untrained model on some samples.

        Args:
            prepared: The set-up.
            task: Tells what the loss takes the outputs to be.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If outputs or targets are no tensors with samples in them.
        """
        setup = prepared.setup
        with isolated(setup.seed), one_thread():
            model, _ = setup.build()
            batch = setup.placed(gather(setup.train.head(SAMPLES)))
            model.train()  # as the first step sees it: batch-norm with the batch's own statistics
            with torch.no_grad(), stage("forward"):
                outputs = setup.outputs(model, batch)
            targets = setup.targets(batch)
            if not _has_samples(outputs) or not _has_samples(targets):
                raise NotMeasurable("outputs and targets must be tensors `[N, …]`")
            with torch.no_grad():
                loss = float(compute_loss(setup, outputs, batch))
            elements = broadcast_elements(outputs, targets)
            mixing = mixing_of(setup, task, outputs, batch) if elements > 1.0 else math.nan
        given, asked = outputs.double().cpu(), targets.double().cpu()
        sums = given.sum(1) if given.dim() > 1 and given.shape[1] > 1 else torch.full((1,), math.nan)
        fits = given.numel() == asked.numel()
        return cls(
            samples=len(given),
            output_shape=tuple(given.shape),
            target_shape=tuple(asked.shape),
            broadcast_elements=elements,
            mixing=mixing,
            output_low=float(given.min()),
            output_high=float(given.max()),
            output_mean=float(given.mean()),
            output_spread=spread(given),
            row_sum_low=float(sums.min()),
            row_sum_high=float(sums.max()),
            target_low=float(asked.min()),
            target_high=float(asked.max()),
            target_mean=float(asked.mean()),
            target_spread=spread(asked),
            distance=float((asked.flatten() - given.flatten()).square().mean().sqrt()) if fits else math.nan,
            loss=loss,
        )


def spread(values: Tensor) -> float:
    """Standard deviation over samples `[N, …]`, root mean square over positions."""
    return float(values.reshape(len(values), -1).var(0, correction=0).mean().sqrt())


def broadcast_elements(outputs: Tensor, targets: Tensor) -> float:
    """Elements of what two tensors broadcast to, over those of the larger one; NaN where they do not broadcast."""
    try:
        common = torch.broadcast_shapes(outputs.shape, targets.shape)
    except RuntimeError:
        return math.nan
    return float(math.prod(common)) / max(outputs.numel(), targets.numel())


def mixing_of(setup: Setup, task: Task, outputs: Tensor, batch: Any) -> float:
    """Share of what one sample's target does to the gradient that lands on other samples' outputs.

    The outputs are drawn around the targets, since an untrained net's may all lie on one side of them. The first
    target is replaced by the one that is furthest from it.

    Args:
        setup: Gives the loss.
        task: Tells which outputs are valid.
        outputs: For the shape, `[N, …]`.
        batch: Holds the targets.

    Returns:
        The share, from 0 to 1; NaN where the loss does not depend on that target.
    """
    targets = setup.targets(batch)
    values = targets.double()
    drawn = torch.randn(outputs.shape, device=outputs.device, dtype=torch.float64)
    if task.output_form is OutputForm.PROBABILITIES:
        drawn = drawn.sigmoid()
    elif task.output_form is OutputForm.VALUES:
        drawn = values.mean() + drawn * values.std(correction=0)
    drawn = drawn.to(outputs.dtype)
    furthest = int((values - values[:1]).abs().reshape(len(values), -1).sum(1).argmax())
    changed = targets.clone()
    changed[0] = targets[furthest]
    before = _gradient(setup, drawn, batch)
    after = _gradient(setup, drawn, setup.with_targets(batch, changed))
    moved = (after - before).abs().reshape(len(before), -1).sum(1)
    whole = float(moved.sum())
    return float(moved[1:].sum()) / whole if whole > 0.0 else math.nan


def _gradient(setup: Setup, outputs: Tensor, batch: Any) -> Tensor:
    with torch.enable_grad():
        leaf = outputs.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(compute_loss(setup, leaf, batch), leaf)
    return gradient.double()


def _has_samples(value: object) -> bool:
    return isinstance(value, Tensor) and value.dim() > 0 and value.numel() > 0
