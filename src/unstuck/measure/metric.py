"""The task's own error, which does not depend on the loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch import Tensor

from unstuck.measure.loss_form import OutputForm
from unstuck.measure.task import Kind, Task
from unstuck.setup import Setup

_NATURAL: Final[Mapping[OutputForm, Callable[[Tensor], Tensor]]] = {
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
        return float("nan")
    outputs = outputs.detach().double().cpu()
    targets = targets.detach().cpu()
    if task.kind is Kind.CLASSES:
        answers = outputs.argmax(task.class_dimension).flatten()
        truth = (targets.argmax(1) if task.one_hot else targets.long()).flatten()
        if answers.numel() != truth.numel():
            return float("nan")
        counted = (truth >= 0) & (truth < task.classes)  # cross_entropy ignores -100
        return _share_wrong(answers[counted], truth[counted])
    if task.kind in (Kind.BINARY, Kind.LABELS):
        middle = 0.0 if task.output_form is OutputForm.BINARY_LOGITS else 0.5
        if outputs.dim() > 1 and outputs.shape[1] == 2 and targets.dim() == 1:
            answers = outputs.argmax(1)
        else:
            answers = (outputs > middle).long()
        if answers.numel() != targets.numel():
            return float("nan")
        return _share_wrong(answers.flatten(), targets.long().flatten())
    if task.kind is Kind.VALUES and outputs.numel() == targets.numel():
        truth = targets.double().reshape(outputs.shape)
        outputs = _NATURAL.get(task.output_form, torch.clone)(outputs)
        variance = (truth - truth.mean(0)).square().mean()
        return float((outputs - truth).square().mean() / variance.clamp_min(1e-30))
    return float("nan")


def _share_wrong(answers: Tensor, truth: Tensor) -> float:
    if answers.numel() != truth.numel() or not truth.numel():
        return float("nan")
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
        return float("nan")
    answers, truth = found
    present = truth.unique()
    if len(present) < 2:
        return float("nan")
    recalls = [float((answers[truth == one] == one).double().mean()) for one in present]
    return (1.0 - sum(recalls) / len(recalls)) / (1.0 - 1.0 / len(recalls))


def answers_and_truth(task: Task, outputs: Any, targets: Any) -> tuple[Tensor, Tensor] | None:
    """Answered and given classes, both `[M]`, without targets that are no class; None where there are no classes."""
    if task.kind not in (Kind.CLASSES, Kind.BINARY) or not isinstance(outputs, Tensor) or not outputs.numel():
        return None
    if not isinstance(targets, Tensor):
        return None
    outputs, targets = outputs.detach().double().cpu(), targets.detach().cpu()
    if task.kind is Kind.CLASSES:
        answers = outputs.argmax(task.class_dimension).flatten()
        truth = (targets.argmax(1) if task.one_hot else targets.long()).flatten()
    else:
        middle = 0.0 if task.output_form is OutputForm.BINARY_LOGITS else 0.5
        two = outputs.dim() > 1 and outputs.shape[1] == 2 and targets.dim() == 1
        answers = (outputs.argmax(1) if two else (outputs > middle).long()).flatten()
        truth = targets.long().flatten()
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
