"""Which class is taken for which, as given and once cured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor, nn

from unstuck.loop import predict
from unstuck.loop.evaluate import SAMPLES
from unstuck.measure.metric import answers_and_truth, joined
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.scores import as_answered
from unstuck.measure.task import Task
from unstuck.setup import Data, Setup
from unstuck.setup.randomness import one_thread

MOST_CLASSES: Final = 20

Counts = tuple[tuple[int, ...], ...]


@final
@dataclass(frozen=True, slots=True)
class Confusions:
    """How often each class is answered by each.

    Attributes:
        split: "held-out" or "test".
        before: Samples of class i that the run as given answers by class j, shape `[C, C]`.
        after: The same once cured; empty where nothing was.
        cure: The rule whose remedy it is, or "".
    """

    cost: ClassVar[float] = 0.1

    split: str
    before: Counts
    after: Counts
    cure: str


def confusion(given: Setup, task: Task, trained: Setup, model: nn.Module, data: Data) -> Counts:
    """Count the answers of a model.

    Args:
        given: The set-up as given, which knows the targets.
        task: The task.
        trained: The set-up that the model was trained by, which knows how to call it.
        model: The model.
        data: The split.

    Returns:
        Samples of class i that are answered by class j, shape `[C, C]`.

    Raises:
        NotMeasurable: If targets are no classes, or there are too many.
    """
    classes = task.classes
    if not 2 <= classes <= MOST_CLASSES:
        raise NotMeasurable(f"a table of {classes} classes cannot be read")
    with one_thread():
        batches = data.head(SAMPLES)
        outputs = joined(predict(trained, model, batches))
    found = answers_and_truth(as_answered(task, trained), outputs, joined([given.targets(each) for each in batches]))
    if found is None:
        raise NotMeasurable("targets must be classes, one an output")
    answers, truth = found
    counts: Tensor = torch.bincount(truth * classes + answers.clamp(0, classes - 1), minlength=classes**2)
    return tuple(tuple(row) for row in counts.reshape(classes, classes).tolist())
