"""How far the statistics of single batches, by which batch-norm normalises, scatter about those of the data."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import torch
from torch import Tensor, nn

from unstuck.edits.batch_norms import batch_norms
from unstuck.loop.clock import WorkClock
from unstuck.loop.evaluate import predict, score_of
from unstuck.loop.stages import compute_loss
from unstuck.measure.preparation import Prepared, Trained
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import Setup
from unstuck.setup.randomness import isolated, one_thread, seeded, trainable

BATCHES: Final = 24
"""Batches whose statistics are taken at most."""

FEWEST: Final = 4
"""Batches below which their scatter says nothing."""

LONGEST_SECONDS: Final = 0.25
"""Work of this thread after which no further batch is run, once there are `FEWEST`."""


@final
@dataclass(frozen=True, slots=True)
class BatchStatistics:
    """The statistics of batches at the weights that the run ends with.

    Attributes:
        layers: Batch-norm layers that use the statistics of the batch while training.
        batch_size: Samples per batch.
        scatter: Root mean square, over batches and channels, of how far the mean of a batch lies from that of all,
            over the channel's deviation; the worst layer's. 1 / √B for B independent samples. 0 without such layers.
        training_loss: Mean loss of the batches, normalised each by its own statistics.
        evaluation_loss: On the same batches, by the running statistics.
    """

    cost: ClassVar[float] = 0.1

    layers: int
    batch_size: int
    scatter: float
    training_loss: float
    evaluation_loss: float

    @classmethod
    def measure(cls, prepared: Prepared, trained: Trained) -> BatchStatistics:
        """Run the trained model on some training batches, in both modes.

        Args:
            prepared: The set-up.
            trained: The run as given.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If there is a batch-norm, and too few batches to tell.
        """
        setup = prepared.setup
        with trainable(), isolated(setup.seed), one_thread():
            own, model, _ = setup.fresh()
            model.load_state_dict(trained.run.model.state_dict())
            model.train()
            norms = batch_norms(model)
            if not norms:
                return cls(0, setup.train.batch_size, 0.0, math.nan, math.nan)
            batches = _batches(own)
            watched = [_Means(norm) for norm in norms.values()]
            evaluated = math.nan if own.loss is None else score_of(own, predict(own, model, batches), batches).loss
            for means in watched:
                means.clear()
            losses = _run(own, model, batches)
        if len(losses) < FEWEST:
            raise NotMeasurable(f"only {len(losses)} batches could be looked at")
        known = [loss for loss in losses if math.isfinite(loss)]
        return cls(
            layers=len(norms),
            batch_size=setup.train.batch_size,
            scatter=max((means.scatter() for means in watched), default=0.0),
            training_loss=math.fsum(known) / len(known) if known else math.nan,
            evaluation_loss=evaluated,
        )


@final
class _Means:
    """Collects, for each batch, the mean of every channel and the mean of its square."""

    def __init__(self, norm: nn.Module) -> None:
        self.means: list[Tensor] = []
        self.squares: list[Tensor] = []
        norm.register_forward_pre_hook(self._hook())

    def _hook(self) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def before(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            values = inputs[0].detach().double()
            over = [dimension for dimension in range(values.dim()) if dimension != 1]
            self.means.append(values.mean(over).cpu())
            self.squares.append(values.square().mean(over).cpu())

        return before

    def clear(self) -> None:
        """Forget what was collected."""
        self.means.clear()
        self.squares.clear()

    def scatter(self) -> float:
        """How far the means of batches lie from that of all, over the deviation."""
        if len(self.means) < 2:
            return 0.0
        means = torch.stack(self.means)
        middle = means.mean(0)
        variance = torch.stack(self.squares).mean(0) - middle.square()
        alive = variance > 1e-12 * torch.stack(self.squares).mean(0)  # dead channels say nothing
        if not bool(alive.any()):
            return 0.0
        spread = means.var(0)[alive] / variance[alive]
        return float(spread.mean().sqrt())


def _batches(setup: Setup) -> list[Any]:
    found: list[Any] = []
    clock = WorkClock()
    for batch in setup.train.batches(seeded(setup.seed)):
        found.append(setup.placed(batch))
        if len(found) >= BATCHES or (len(found) >= FEWEST and clock() > LONGEST_SECONDS):
            break
    return found


def _run(setup: Setup, model: nn.Module, batches: list[Any]) -> list[float]:
    """The loss of each batch in training mode; NaN where the set-up keeps its loss inside the step."""
    losses: list[float] = []
    clock = WorkClock()
    with torch.no_grad():
        for batch in batches:
            outputs = setup.outputs(model, batch)
            losses.append(math.nan if setup.loss is None else float(compute_loss(setup, outputs, batch)))
            if len(losses) >= FEWEST and clock() > LONGEST_SECONDS:
                break
    return losses
