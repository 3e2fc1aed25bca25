"""Whether batch-norm layers are evaluated with statistics that fit the weights they ended up with."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import nn

from unstuck.edits.reweighting import reestimate
from unstuck.loop.evaluate import evaluate
from unstuck.measure.best_constant import BestConstant
from unstuck.measure.preparation import Prepared, Trained
from unstuck.measure.protocol import NotMeasurable, Unmeasured
from unstuck.setup.batch import length
from unstuck.setup.randomness import isolated, one_thread

SAMPLES: Final = 1000
"""Training samples that statistics are taken from anew at most."""


@final
@dataclass(frozen=True, slots=True)
class NormStatistics:
    """The trained model on held-out samples, with the running statistics and with ones taken anew.

    Attributes:
        layers: Batch-norm layers with running statistics.
        distance: Root mean square distance of the running mean from that taken anew, over its deviation; the worst
            layer's.
        running: Held-out loss with the running statistics.
        anew: Held-out loss with those taken anew from training batches at the final weights.
        gain: What that gains, as a share of the span from the best constant; NaN where it is not known.
        momentum: The smallest of the layers; NaN where they average over all batches.
        layer: Name of the worst layer.
    """

    cost: ClassVar[float] = 0.1

    layers: int
    distance: float
    running: float
    anew: float
    gain: float
    momentum: float
    layer: str

    @classmethod
    def measure(cls, prepared: Prepared, trained: Trained, constant: BestConstant | Unmeasured) -> NormStatistics:
        """Take the statistics anew on a copy of the trained model.

        Args:
            prepared: The set-up with its splits.
            trained: The run as given.
            constant: Loss of the best constant, for the span.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If there is no batch-norm layer with running statistics, or no loss.
        """
        setup = prepared.setup
        norms = _norms(trained.run.model)
        if not norms:
            raise NotMeasurable("the model has no batch-norm layer with running statistics")
        if setup.loss is None:
            raise NotMeasurable("the loss is inside train_step; give `loss` as well")
        with isolated(setup.seed), one_thread():
            model = copy.deepcopy(trained.run.model)
            batches = [setup.placed(batch) for batch in setup.train.head(SAMPLES)]
            batches = [batch for batch in batches if length(batch) > 1]
            if not batches:
                raise NotMeasurable("a batch of one sample has no statistics")
            before = evaluate(setup, model, prepared.held_out).loss
            reestimate(setup, model, batches)
            after = evaluate(setup, model, prepared.held_out).loss
            distances = {name: _distance(norm, _norms(model)[name]) for name, norm in norms.items()}
        span = math.nan if isinstance(constant, Unmeasured) else constant.held_out_loss - after
        # What lies above the best constant counts as the constant, as in a trial.
        lost = before if isinstance(constant, Unmeasured) else min(before, constant.held_out_loss)
        worst = max(distances, key=lambda name: distances[name])
        momenta = [norm.momentum for norm in norms.values() if norm.momentum is not None]
        return cls(
            layers=len(norms),
            distance=distances[worst],
            running=before,
            anew=after,
            gain=(lost - after) / span if span > 0.0 else 0.0 if span <= 0.0 else math.nan,
            momentum=min(momenta, default=math.nan),
            layer=worst,
        )


def _norms(model: nn.Module) -> dict[str, nn.modules.batchnorm._BatchNorm]:
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None
    }


def _distance(old: nn.modules.batchnorm._BatchNorm, new: nn.modules.batchnorm._BatchNorm) -> float:
    assert old.running_mean is not None and new.running_mean is not None and new.running_var is not None
    apart = (old.running_mean - new.running_mean).square() / new.running_var.clamp_min(1e-12)
    return float(torch.nan_to_num(apart.mean(), nan=torch.inf).sqrt())
