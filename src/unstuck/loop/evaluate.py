"""The loss and the task's metric of a model on a split, in evaluation mode."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from unstuck.loop.correcting import corrected_evaluation
from unstuck.loop.stages import compute_loss, stage
from unstuck.setup import Batch, Data, Setup
from unstuck.setup.randomness import isolated, trainable

SAMPLES = 2000
"""Samples of a split that are looked at for a score at most."""


@final
@dataclass(frozen=True, slots=True)
class Score:
    """How well a model does on a split.

    Attributes:
        loss: Mean loss over batches, weighted by their size; NaN without a loss.
        standard_error: Of `loss`, from the spread over batches.
        samples: Number of samples looked at.
    """

    loss: float
    standard_error: float
    samples: int


def predict(setup: Setup, model: nn.Module, batches: list[Batch], split: str = "") -> list[Any]:
    """Outputs of a model on batches, in evaluation mode and without gradients.

    The mode of every module is put back afterwards, and no random state moves.

    Args:
        setup: Knows how to call the model.
        model: Any model for those batches.
        batches: Inputs and targets.
        split: Their name, for messages.

    Returns:
        One output a batch.
    """
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with (
            trainable(),
            torch.no_grad(),
            isolated(0),
            stage("forward", split),
            corrected_evaluation(setup.corrections),
        ):
            return [setup.outputs(model, setup.placed(batch)) for batch in batches]
    finally:
        for module, training in modes.items():
            module.training = training


def score_of(setup: Setup, outputs: list[Any], batches: list[Batch], split: str = "") -> Score:
    """The loss of given outputs.

    Args:
        setup: Gives the loss.
        outputs: One per batch.
        batches: Hold the targets.
        split: Their name, for messages.

    Returns:
        The score; its loss is NaN where the set-up has no loss of its own.
    """
    if setup.loss is None or not batches:
        return Score(math.nan, math.nan, 0)
    losses, weights = [], []
    with trainable(), torch.no_grad(), isolated(0), stage("loss", split):
        for output, batch in zip(outputs, batches, strict=True):
            placed = setup.placed(batch)
            losses.append(compute_loss(setup, output, placed).double())
            weights.append(_samples(setup, placed))
    values, counts = torch.stack(losses), torch.tensor(weights, dtype=torch.float64, device=losses[0].device)
    mean = (values * counts).sum() / counts.sum()
    spread = ((values - mean).square() * counts).sum() / counts.sum()
    return Score(float(mean), float((spread / max(1, len(losses) - 1)).sqrt()), int(counts.sum()))


def evaluate(setup: Setup, model: nn.Module, data: Data, limit: int = SAMPLES) -> Score:
    """The score of a model on a split, in evaluation mode.

    Args:
        setup: Tells how the model is run and what its loss is.
        model: As trained.
        data: The split.
        limit: Samples that are looked at, at most.

    Returns:
        The mean loss with its standard error.

    Raises:
        ExaminationError: If the user's own code fails; it names the stage and the split.
    """
    split = split_name(setup, data)
    with stage("data", split):
        batches = data.head(limit)
    return score_of(setup, predict(setup, model, batches, split), batches, split)


def split_name(setup: Setup, data: Data) -> str:
    """Which split of a set-up some data are, or "" where they are none of it."""
    splits = {"train": setup.train, "validation": setup.validation, "test": setup.test}
    return next((name for name, split in splits.items() if split is data), "")


def _samples(setup: Setup, batch: Batch) -> int:
    targets = setup.targets(batch)
    return max(1, len(targets)) if isinstance(targets, Tensor) and targets.dim() else 1
