"""How the loss grows with the number of samples in a batch: a mean does not, a sum does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from unstuck.loop.evaluate import predict
from unstuck.loop.stages import compute_loss
from unstuck.measure.first_batch import SAMPLES
from unstuck.measure.preparation import Prepared
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import Batch, Setup
from unstuck.setup.batch import map_tensors
from unstuck.setup.data import gather
from unstuck.setup.randomness import isolated, one_thread


@final
@dataclass(frozen=True, slots=True)
class LossGrowth:
    """What doubling a batch does to the pull of each sample.

    Attributes:
        exponent: The gradient of the whole batch grows as the number of samples to this power: 0 for a mean, 1 for
            a sum. NaN where the loss has no gradient.
        batch_size: Samples per batch of the training split.
    """

    cost: ClassVar[float] = 0.0

    exponent: float
    batch_size: int

    @classmethod
    def measure(cls, prepared: Prepared) -> LossGrowth:
        """Take the loss's gradient with respect to the outputs, on some samples and on each of them twice.

        The gradient, unlike the loss, is blind to whatever is added to the loss.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If outputs are no tensor `[N, …]`, or there is no loss.
        """
        setup = prepared.setup
        if setup.loss is None:
            raise NotMeasurable("the loss is inside train_step; give `loss` as well")
        with isolated(setup.seed), one_thread():
            own, model, _ = setup.fresh()
            batch = own.placed(gather(own.train.head(SAMPLES)))
            outputs = predict(own, model, [batch])[0]
            if not isinstance(outputs, Tensor) or not outputs.dim() or not outputs.is_floating_point():
                raise NotMeasurable("outputs must be one tensor `[N, …]`")
            once = _pull(own, outputs, batch)
            twice = _pull(own, torch.cat([outputs, outputs]), map_tensors(batch, _doubled))[: len(outputs)]
        before, after = float(once.norm()), float(twice.norm())
        exponent = math.log2(after / before) + 1.0 if before > 0.0 and after > 0.0 else math.nan
        return cls(exponent if math.isfinite(exponent) else math.nan, prepared.setup.train.batch_size)


def _doubled(tensor: Tensor) -> Tensor:
    return torch.cat([tensor, tensor]) if tensor.dim() else tensor


def _pull(setup: Setup, outputs: Any, batch: Batch) -> Tensor:
    """Gradient of the loss with respect to the outputs `[N, …]`, float64."""
    with torch.enable_grad():
        leaf = outputs.detach().clone().requires_grad_()
        loss = compute_loss(setup, leaf, batch)
        if not loss.requires_grad:
            raise NotMeasurable("the loss does not depend on the outputs through differentiable operations")
        gradient: Tensor = torch.autograd.grad(loss, leaf)[0]
    return gradient.double()
