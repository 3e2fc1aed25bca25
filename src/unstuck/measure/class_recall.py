"""How often each class occurs, and how often the trained network finds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch

from unstuck.loop import predict
from unstuck.loop.evaluate import SAMPLES
from unstuck.measure.metric import answers_and_truth, joined
from unstuck.measure.preparation import Prepared, Trained
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.task import Task
from unstuck.setup import Data
from unstuck.setup.randomness import one_thread

LISTED: Final = 64
"""Classes up to which each is looked at by itself."""


@final
@dataclass(frozen=True, slots=True)
class Recall:
    """One class on one split.

    Attributes:
        number: The class.
        count: How many samples have it.
        found: How many of those are answered by it.
        share: `count` as a share of the split.
    """

    number: int
    count: int
    found: int
    share: float


@final
@dataclass(frozen=True, slots=True)
class ClassRecall:
    """The classes of the training and the held-out split, those that occur in both, the rarest first.

    Attributes:
        training: On the training split.
        held_out: On the held-out split, in the same order.
    """

    cost: ClassVar[float] = 1.0

    training: tuple[Recall, ...]
    held_out: tuple[Recall, ...]

    @classmethod
    def measure(cls, prepared: Prepared, trained: Trained, task: Task) -> ClassRecall:
        """Count the answers of the run as given.

        Args:
            prepared: The set-up with its splits.
            trained: The run.
            task: The task.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If targets are no classes, or there are too many.
        """

        def recalls(data: Data) -> dict[int, Recall]:
            batches = data.head(SAMPLES)
            outputs = predict(prepared.setup, trained.run.model, batches)
            found = answers_and_truth(task, joined(outputs), joined([prepared.setup.targets(each) for each in batches]))
            if found is None:
                raise NotMeasurable("targets must be classes, one an output")
            answers, truth = found
            numbers, counts = torch.unique(truth, return_counts=True)
            if len(numbers) > LISTED:
                raise NotMeasurable(f"{len(numbers)} classes are too many to list")
            return {
                int(number): Recall(
                    int(number), int(count), int((answers[truth == number] == number).sum()), int(count) / len(truth)
                )
                for number, count in zip(numbers, counts, strict=True)
            }

        with one_thread():
            training, held_out = recalls(prepared.setup.train), recalls(prepared.held_out)
        both = sorted(set(training) & set(held_out), key=lambda number: (training[number].count, number))
        return cls(tuple(training[number] for number in both), tuple(held_out[number] for number in both))
