"""The loss and the task's error of every single sample, so that what rests on few samples can be told."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import vmap

from unstuck.loop import predict
from unstuck.loop.evaluate import SAMPLES
from unstuck.loop.stages import compute_loss
from unstuck.measure.loss_form import OutputForm
from unstuck.measure.task import Kind, Task
from unstuck.setup import Batch, Data, Setup
from unstuck.setup.batch import length
from unstuck.setup.randomness import isolated, one_thread, trainable

AGREES: Final = 1e-3
"""Relative distance of a batch's loss from the mean over its samples that float32 sums account for."""

Array = np.ndarray[Any, Any]


@final
@dataclass(frozen=True, slots=True, eq=False)
class SampleScores:
    """How a model does on each sample of a split.

    Attributes:
        losses: Loss per sample, `[N]`; per batch, `[B]`, where the loss is no mean over samples; empty without a loss.
        errors: Share of wrong answers per sample, or squared error, `[N]`; empty where the task is not known.
        by_sample: Whether `losses` is per sample.
        samples: Samples looked at.
        whole: Samples of the split, or None where only reading tells.
    """

    losses: Array
    errors: Array
    by_sample: bool
    samples: int
    whole: int | None


def sample_scores(setup: Setup, task: Task | None, model: nn.Module, data: Data, limit: int = SAMPLES) -> SampleScores:
    """Score a model sample by sample, in evaluation mode; nothing of the model or the random state moves.

    Args:
        setup: Gives the loss, and knows how to call the model.
        task: The task, where it is known.
        model: The model.
        data: The split.
        limit: Samples looked at, at most.

    Returns:
        The scores.
    """
    batches = data.head(limit)
    with one_thread():
        outputs = predict(setup, model, batches)
        losses, by_sample = _losses(setup, outputs, batches)
    errors = [_errors(task, output, setup.targets(batch)) for output, batch in zip(outputs, batches, strict=True)]
    known = bool(errors) and all(part is not None for part in errors)
    joined = np.concatenate([part for part in errors if part is not None]) if known else np.empty(0)
    return SampleScores(losses, joined, by_sample, sum(map(length, batches)), data.size)


def _losses(setup: Setup, outputs: list[Any], batches: list[Batch]) -> tuple[Array, bool]:
    if setup.loss is None or not batches:
        return np.empty(0), True
    whole, single = list[float](), list[Array]()
    with trainable(), torch.no_grad(), isolated(0):
        for output, batch in zip(outputs, batches, strict=True):
            placed = setup.placed(batch)
            whole.append(float(compute_loss(setup, output, placed)))
            each = _each(setup, output, setup.targets(placed))
            if each is None or not _agree(float(each.mean()), whole[-1]):
                single = []
                break
            single.append(each)
        else:
            return np.concatenate(single), True
        rest = zip(outputs[len(whole) :], batches[len(whole) :], strict=True)
        whole += [float(compute_loss(setup, output, setup.placed(batch))) for output, batch in rest]
    return np.asarray(whole), False


def _agree(mean: float, whole: float) -> bool:
    return math.isclose(mean, whole, rel_tol=AGREES, abs_tol=1e-6) or not math.isfinite(whole)


def _each(setup: Setup, outputs: Any, targets: Any) -> Array | None:
    """The loss of each sample as a batch of one; None where it cannot be had."""
    if not isinstance(outputs, Tensor) or not isinstance(targets, Tensor) or len(outputs) != len(targets):
        return None
    assert setup.loss is not None  # the caller has asked
    try:
        found = vmap(setup.loss)(outputs.unsqueeze(1), targets.unsqueeze(1))
    except Exception:  # whatever a user's loss does that vmap cannot follow
        try:
            found = torch.stack(
                [setup.loss(outputs[place : place + 1], targets[place : place + 1]) for place in range(len(outputs))]
            )
        except Exception:  # a loss that needs more than one sample
            return None
    if not isinstance(found, Tensor) or found.numel() != len(outputs):
        return None
    return np.asarray(found.detach().double().cpu().reshape(-1).numpy())


def _errors(task: Task | None, outputs: Any, targets: Any) -> Array | None:
    """Share of wrong answers, or mean squared error, of each sample; None where it cannot be told."""
    if task is None or not isinstance(outputs, Tensor) or not isinstance(targets, Tensor) or not len(outputs):
        return None
    outputs, targets = outputs.detach().double().cpu(), targets.detach().cpu()
    if task.kind is Kind.CLASSES:
        answers = outputs.argmax(task.class_dimension)
        truth = targets.argmax(1) if task.one_hot else targets.long()
        if answers.numel() != truth.numel():
            return None
        counted = (truth >= 0) & (truth < task.classes)  # cross_entropy ignores -100
        wrong = ((answers.reshape(truth.shape) != truth) & counted).double().reshape(len(truth), -1)
        return np.asarray((wrong.sum(1) / counted.reshape(len(truth), -1).sum(1).clamp_min(1)).numpy())
    elif task.kind in (Kind.BINARY, Kind.LABELS):
        middle = 0.0 if task.output_form is OutputForm.BINARY_LOGITS else 0.5
        two = outputs.dim() > 1 and outputs.shape[1] == 2 and targets.dim() == 1
        answers = outputs.argmax(1) if two else (outputs > middle).long()
        if answers.numel() != targets.numel():
            return None
        wrong = (answers.reshape(targets.shape) != targets.long()).double()
    elif task.kind is Kind.VALUES and outputs.numel() == targets.numel():
        natural = {OutputForm.LOG_RATES: torch.exp, OutputForm.BINARY_LOGITS: torch.sigmoid}
        made = natural.get(task.output_form, torch.clone)(outputs)
        wrong = (made - targets.double().reshape(outputs.shape)).square()
    else:
        return None
    return np.asarray(wrong.reshape(len(wrong), -1).mean(1).numpy())


def unlabelled(setup: Setup, task: Task | None, data: Data) -> bool:
    """Whether every target of a split says that there is none: NaN, or a class below 0."""
    targets = [setup.targets(batch) for batch in data.head(SAMPLES)]
    if not targets or not all(isinstance(target, Tensor) and target.numel() for target in targets):
        return False
    if all(target.is_floating_point() for target in targets):
        return all(bool(target.isnan().all()) for target in targets)
    classes = task is not None and task.kind in (Kind.CLASSES, Kind.BINARY)
    return classes and all(bool((target < 0).all()) for target in targets)
