"""What holds a network back on purpose, and how hard: dropout, weight decay, smoothed labels."""

from __future__ import annotations

import copy
import math
import statistics
from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from unstuck.edits.regularisation import dropout_rates
from unstuck.loop import LayerTrace, RunRecord
from unstuck.loop.stages import stage
from unstuck.measure.preparation import Prepared, Trained
from unstuck.setup import Setup
from unstuck.setup.batch import tensors
from unstuck.setup.data import gather
from unstuck.setup.randomness import isolated, one_thread

SAMPLES: Final = 128
"""Samples on which the noise of dropout is measured."""

MASKS: Final = 8
"""Draws of dropout for each."""


@final
@dataclass(frozen=True, slots=True)
class Regularisers:
    """Regularisation of the run as given.

    Attributes:
        dropout: Largest rate of dropout; 0 without any.
        noise_share: Share of the variance of the trained network's outputs, over samples and over draws of dropout,
            that the draws make; 0 without dropout, NaN where the outputs never change.
        decay: Largest weight decay, in the optimizer's own terms; 0 without any.
        decay_share: Share that the decay has in what moves the weights of the middle layer, against that of the loss:
            by their norms, the median over the watched steps of the second half; 0 without decay.
        smoothing: Share of each label that is spread over all classes; 0 without any.
    """

    cost: ClassVar[float] = 1.0

    dropout: float
    noise_share: float
    decay: float
    decay_share: float
    smoothing: float

    @classmethod
    def measure(cls, prepared: Prepared, trained: Trained) -> Regularisers:
        """Read the set-up and the record, and draw dropout on the trained network a few times."""
        setup, run = prepared.setup, trained.run
        rate = max(dropout_rates(setup), default=0.0)
        with isolated(setup.seed):
            _, optimizer = setup.build()
        decays = [float(group.get("weight_decay", 0.0)) for group in optimizer.param_groups]
        decay = max(decays, default=0.0)
        return cls(
            dropout=rate,
            noise_share=_noise_share(setup, run.model) if rate > 0.0 else 0.0,
            decay=decay,
            decay_share=_decay_share(run.record, optimizer, decay) if decay > 0.0 else 0.0,
            smoothing=float(getattr(setup.loss, "label_smoothing", 0.0) or 0.0),
        )

    @property
    def any(self) -> bool:
        """Whether there is any at all."""
        return self.dropout > 0.0 or self.decay > 0.0 or self.smoothing > 0.0


def _noise_share(setup: Setup, trained: nn.Module) -> float:
    """Mean variance over draws, divided by the variance over both samples and draws."""
    model = copy.deepcopy(trained).train()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.training = False  # its own noise is another matter; `eval` would silence dropout put inside it too
    batch = setup.placed(gather(setup.train.head(SAMPLES)))
    draws: list[Tensor] = []
    with isolated(setup.seed), one_thread(), torch.no_grad(), stage("forward"):
        for _ in range(MASKS):
            outputs = [tensor for tensor in tensors(setup.outputs(model, batch)) if tensor.is_floating_point()]
            draws.append(outputs[0].double().flatten(1))
    drawn = torch.stack(draws)  # [draws, samples, outputs]
    whole = float(drawn.flatten(0, 1).var(0, correction=0).sum())
    # Unbiased, since few draws would else hide a part of their own variance.
    return min(1.0, float(drawn.var(0).mean(0).sum()) / whole) if whole > 0.0 else math.nan


def _decay_share(record: RunRecord, optimizer: Optimizer, decay: float) -> float:
    """The decay's part of a step over that of both; where it is decoupled, of the update itself."""
    decoupled = isinstance(optimizer, torch.optim.AdamW) or any(
        group.get("decoupled_weight_decay", False) for group in optimizer.param_groups
    )
    found = []
    for number, step in enumerate(record.sampled_steps):
        if step < len(record.losses) // 2 or record.rates[step] <= 0.0:
            continue
        shares = [_pull(layer, number, record.rates[step], decay, decoupled) for layer in record.layers]
        known = [share for share in shares if not math.isnan(share)]
        if known:  # of all weights as one, the noise in the last bias would hide that all others have decayed to zero
            found.append(statistics.median_high(known))
    return statistics.median(found) if found else math.nan


def _pull(layer: LayerTrace, number: int, rate: float, decay: float, decoupled: bool) -> float:
    """The decay's part for one layer at one watched step; NaN where nothing moved it, or it was not watched."""
    moved = layer.update_norm if decoupled else layer.gradient_norm
    if len(layer.weight_norm) <= number or len(moved) <= number:
        return math.nan
    if decoupled:
        pull, whole = rate * decay * layer.weight_norm[number], moved[number]
    else:
        pull = decay * layer.weight_norm[number]
        whole = pull + moved[number]
    return min(1.0, pull / whole) if whole > 0.0 else math.nan
