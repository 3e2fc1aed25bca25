"""How far dropout changes the variance that batch-norm layers behind it have learnt to expect."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import torch
from torch import Tensor, nn

from unstuck.edits.batch_norms import batch_norms
from unstuck.edits.regularisation import LAYERS
from unstuck.loop.evaluate import predict, score_of
from unstuck.loop.stages import compute_loss
from unstuck.measure.preparation import Prepared, Trained
from unstuck.setup import Batch, Setup
from unstuck.setup.randomness import isolated, one_thread, trainable

SAMPLES: Final = 1000
DRAWS: Final = 4
"""Masks of dropout that are drawn for each batch."""


@final
@dataclass(frozen=True, slots=True)
class VarianceShift:
    """The variance of what batch-norm layers are fed, with dropout and without it, at the weights the run ends with.

    X. Li, S. Chen, X. Hu, J. Yang, "Understanding the disharmony between dropout and batch normalization by variance
    shift", 2019: dropout scales what it leaves so that the mean is kept, which raises the variance; batch-norm learns
    that variance, and divides by it in evaluation, where dropout is off.

    Attributes:
        layers: Batch-norm layers that use the statistics of the batch while training.
        shift: Variance with dropout over that without, the geometric mean over channels, of the layer where it is
            furthest from 1; 1 where no dropout acts on any of them.
        worst: Name of that layer, or "".
        evaluation_loss: Of training batches as they are evaluated: dropout off, by running statistics.
        own_loss: Of the same with dropout off, each by its own statistics: what evaluation would be without the shift.
    """

    cost: ClassVar[float] = 0.1

    layers: int
    shift: float
    worst: str
    evaluation_loss: float
    own_loss: float

    @classmethod
    def measure(cls, prepared: Prepared, trained: Trained) -> VarianceShift:
        """Run the trained model on some training batches, with dropout and without.

        Args:
            prepared: The set-up.
            trained: The run as given.

        Returns:
            The measurement.
        """
        setup = prepared.setup
        with trainable(), isolated(setup.seed), one_thread(), torch.no_grad():
            own, model, _ = setup.fresh()
            model.load_state_dict(trained.run.model.state_dict())
            model.train()
            norms = batch_norms(model)
            if not norms or not any(_drops(module) for module in model.modules()):
                return cls(len(norms), 1.0, "", math.nan, math.nan)
            batches = [own.placed(batch) for batch in own.train.head(SAMPLES)]
            evaluated = math.nan if own.loss is None else score_of(own, predict(own, model, batches), batches).loss
            with _fed(norms) as seen:
                for _ in range(DRAWS):
                    _run(own, model, batches)
                dropping = {name: _variance(values) for name, values in seen.items()}
            for module in model.modules():
                if _drops(module):
                    module.eval()
            with _fed(norms) as seen:
                losses = _run(own, model, batches)
                whole = {name: _variance(values) for name, values in seen.items()}
        shifts = {name: _shift(dropping[name], whole[name]) for name in norms if dropping[name] is not None}
        worst = max(shifts, key=lambda name: abs(math.log(shifts[name])), default="")
        known = [loss for loss in losses if math.isfinite(loss)]
        own_loss = math.fsum(known) / len(known) if known else math.nan
        return cls(len(norms), shifts.get(worst, 1.0), worst, evaluated, own_loss)


def _drops(module: nn.Module) -> bool:
    if not isinstance(module, LAYERS):
        return False
    rate: Any = module.p if isinstance(module, nn.modules.dropout._DropoutNd) else module.dropout
    return float(rate) > 0.0


Moments = list[tuple[Tensor, Tensor]]


@contextmanager
def _fed(norms: dict[str, nn.modules.batchnorm._BatchNorm]) -> Iterator[dict[str, Moments]]:
    """Collect mean and mean square of each channel of what each layer is fed, batch by batch."""
    seen: dict[str, Moments] = {name: [] for name in norms}
    handles = []
    for name, norm in norms.items():

        def before(module: nn.Module, inputs: tuple[Any, ...], found: Moments = seen[name]) -> None:
            values = inputs[0].detach().double()
            over = [dimension for dimension in range(values.dim()) if dimension != 1]
            found.append((values.mean(over), values.square().mean(over)))

        handles.append(norm.register_forward_pre_hook(before))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _variance(moments: Moments) -> Tensor | None:
    if not moments:
        return None
    mean, square = (torch.stack(parts).mean(0) for parts in zip(*moments, strict=True))
    return (square - mean.square()).clamp_min(0.0)


def _shift(dropping: Tensor | None, whole: Tensor | None) -> float:
    """Geometric mean over channels of one variance over the other; channels that are dead in either say nothing."""
    if dropping is None or whole is None:
        return 1.0
    alive = (dropping > 1e-12 * dropping.max()) & (whole > 1e-12 * whole.max())
    return float((dropping[alive] / whole[alive]).log().mean().exp()) if bool(alive.any()) else 1.0


def _run(setup: Setup, model: nn.Module, batches: list[Batch]) -> list[float]:
    losses = []
    for batch in batches:
        outputs = setup.outputs(model, batch)
        losses.append(math.nan if setup.loss is None else float(compute_loss(setup, outputs, batch)))
    return losses
