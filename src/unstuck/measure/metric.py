"""The task's own error, which does not depend on the loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch import Tensor

from unstuck.measure.loss_form import OutputForm
from unstuck.measure.task import Kind, Task
from unstuck.setup import Setup

NATURAL: Final[Mapping[OutputForm, Callable[[Tensor], Tensor]]] = {
    OutputForm.LOG_RATES: torch.exp,
    OutputForm.BINARY_LOGITS: torch.sigmoid,
}
"""From outputs to numbers that compare with the targets."""


def task_error(task: Task, outputs: Any, targets: Any) -> float:
    """The error of outputs at the task, 1 for the best constant prediction, 0 for a perfect one.

    For classes, yes/no and labels: the share of wrong answers over that of always giving the most frequent
    answer. For numbers: the mean squared error over the variance of the targets (1 − R²).

    Args:
        task: The task.
        outputs: Outputs of the model, shape `[N, …]`.
        targets: Targets, of a shape that matches after removing dimensions of size 1.

    Returns:
        The error; NaN where it cannot be told.
    """
    if not isinstance(outputs, Tensor) or not isinstance(targets, Tensor) or not outputs.numel():
        return math.nan
    outputs = outputs.detach().double().cpu()
    targets = targets.detach().cpu()
    if task.kind in (Kind.CLASSES, Kind.BINARY, Kind.LABELS):
        answers, truth = _answered(task, outputs, targets)
        if answers.numel() != truth.numel():
            return math.nan
        if task.kind is Kind.CLASSES:
            counted = (truth >= 0) & (truth < task.classes)  # cross_entropy ignores -100
            answers, truth = answers[counted], truth[counted]
        return _share_wrong(answers, truth)
    if task.kind is Kind.VALUES and outputs.numel() == targets.numel():
        truth = targets.double().reshape(outputs.shape)
        outputs = NATURAL.get(task.output_form, torch.clone)(outputs)
        variance = (truth - truth.mean(0)).square().mean()
        return float((outputs - truth).square().mean() / variance.clamp_min(1e-30))
    return math.nan


def _answered(task: Task, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The class, or yes as 1, that each output stands for, and the one that was wanted; both flat."""
    if task.kind is Kind.CLASSES:
        truth = targets.argmax(1) if task.one_hot else targets.long()
        return outputs.argmax(task.class_dimension).flatten(), truth.flatten()
    middle = 0.0 if task.output_form is OutputForm.BINARY_LOGITS else 0.5
    of_two = outputs.dim() > 1 and outputs.shape[1] == 2 and targets.dim() == 1  # an output each for no and yes
    return (outputs.argmax(1) if of_two else (outputs > middle).long()).flatten(), targets.long().flatten()


def _share_wrong(answers: Tensor, truth: Tensor) -> float:
    if answers.numel() != truth.numel() or not truth.numel():
        return math.nan
    most_frequent = float(torch.unique(truth, return_counts=True)[1].max()) / truth.numel()
    wrong = float((answers != truth).double().mean())
    return wrong / max(1.0 - most_frequent, 1.0 / truth.numel())


def balanced_error(task: Task, outputs: Any, targets: Any) -> float:
    """The mean over classes of the share of each that is answered wrongly: 1 for any constant prediction.

    Brodersen et al., "The balanced accuracy and its posterior distribution", 2010; scaled so that chance is 1.

    Args:
        task: The task.
        outputs: Outputs of the model, shape `[N, …]`.
        targets: Targets that match.

    Returns:
        The error; NaN where targets are no classes, or only one of them occurs.
    """
    found = answers_and_truth(task, outputs, targets)
    if found is None:
        return math.nan
    answers, truth = found
    present = truth.unique()
    if len(present) < 2:
        return math.nan
    recalls = [float((answers[truth == one] == one).double().mean()) for one in present]
    return (1.0 - sum(recalls) / len(recalls)) / (1.0 - 1.0 / len(recalls))


def answers_and_truth(task: Task, outputs: Any, targets: Any) -> tuple[Tensor, Tensor] | None:
    """Answered and given classes, both `[M]`, without targets that are no class; None where there are no classes."""
    if task.kind not in (Kind.CLASSES, Kind.BINARY) or not isinstance(outputs, Tensor) or not outputs.numel():
        return None
    if not isinstance(targets, Tensor):
        return None
    answers, truth = _answered(task, outputs.detach().double().cpu(), targets.detach().cpu())
    if answers.numel() != truth.numel():
        return None
    counted = (truth >= 0) & (truth < task.classes)
    return answers[counted], truth[counted]


def joined(parts: list[Any]) -> Any:
    """Outputs or targets of several batches as one tensor, or the first where they cannot be joined."""
    try:
        return torch.cat(parts)
    except (RuntimeError, TypeError):
        return parts[0]


def error_on(setup: Setup, task: Task, outputs: list[Any], batches: list[Any]) -> float:
    """`task_error` of outputs given batch by batch."""
    return task_error(task, joined(outputs), joined([setup.targets(batch) for batch in batches]))
