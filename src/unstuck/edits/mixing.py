"""Mixtures of two samples each, inputs and targets in the same shares: mixup."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy
import torch
from torch import Tensor, nn

from unstuck.edits.samples import in_memory
from unstuck.edits.schedule import paced
from unstuck.errors import RemedyError
from unstuck.loop import fit
from unstuck.loop.evaluate import predict
from unstuck.setup import Setup
from unstuck.setup.batch import concatenate, replace_inputs, replace_targets, split_batch, tensors
from unstuck.setup.data import gather
from unstuck.setup.randomness import isolated

SEED: Final = 0
COPIES: Final = 4
"""Mixtures that are drawn for each sample."""

ALPHA: Final = 0.4
"""Of the beta distribution of the shares that are mixed (Zhang et al. 2018 use 0.1 to 0.4)."""


def with_mixed_samples(setup: Setup) -> Setup:
    """Train on mixtures of two samples each, inputs and targets in the same shares, drawn once, for as many steps.

    H. Zhang et al., "mixup: beyond empirical risk minimization", 2018. Four mixtures a sample are drawn beside it.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If samples are not in memory, inputs or targets cannot be mixed, or the run has few epochs.
    """
    train = in_memory(setup.train)
    epochs = round(setup.epochs / (1 + COPIES))
    if epochs < 1:
        raise RemedyError(f"{setup.epochs} epochs are too few to be spent on {1 + COPIES} times the samples")
    positional, named, targets = split_batch(train.samples)
    if not isinstance(targets, Tensor) or not all(part.is_floating_point() for part in tensors((positional, named))):
        raise RemedyError("inputs and targets must be tensors, inputs of floating point, to be mixed")
    whole = replace_targets(train.samples, _mixable(setup, targets))
    draws, chances = torch.Generator().manual_seed(SEED), numpy.random.default_rng(SEED)
    parts = [whole]
    for _ in range(COPIES):
        other = torch.randperm(train.size, generator=draws)
        share = torch.from_numpy(chances.beta(ALPHA, ALPHA, train.size))

        def mix(values: Tensor, share: Tensor = share, other: Tensor = other) -> Tensor:
            weight = share.to(values).reshape(-1, *[1] * (values.dim() - 1))
            mixed: Tensor = weight * values + (1.0 - weight) * values[other.to(values.device)]
            return mixed

        parts.append(replace_targets(replace_inputs(whole, mix), mix(split_batch(whole)[2])))
    mixed = replace(train, samples=concatenate(parts))
    described = {**setup.described, "training samples": f"and {COPIES} mixtures of two for each"}
    pace = setup.scheduler if setup.schedule_every == "step" else paced(setup, epochs / setup.epochs)
    after = replace(setup, train=mixed, epochs=epochs, scheduler=pace, described=described)
    _require_loss(after)
    return after


def _mixable(setup: Setup, targets: Tensor) -> Tensor:
    """Targets that can be mixed: numbers as they are, class numbers as probabilities."""
    if targets.is_floating_point():
        return targets
    if not isinstance(setup.loss, nn.CrossEntropyLoss) or targets.dim() != 1 or bool((targets < 0).any()):
        raise RemedyError("the loss takes no mixtures of these targets")
    batch = gather(setup.train.head(2))
    with isolated(setup.seed):
        model, _ = setup.build()
    outputs = predict(setup, model, [batch])[0]
    return nn.functional.one_hot(targets, outputs.shape[1]).to(outputs.dtype)


def _require_loss(setup: Setup) -> None:
    if setup.loss is None:
        raise RemedyError("the loss is inside the user's own step")
    try:
        fit(setup, steps=1, validate=False)
    except Exception as error:
        raise RemedyError(f"the loss takes no mixtures: {' '.join(str(error).split())[:200]}") from error
