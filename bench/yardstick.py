"""How much a fault hurts, and how much of that a cure makes good: both scored as the healthy twin is scored."""

import math
from dataclasses import replace

import torch
from torch import Tensor

import unstuck
from unstuck.errors import UnstuckError
from unstuck.examine import Examination
from unstuck.loop import Run
from unstuck.loop.evaluate import SAMPLES
from unstuck.measure.best_constant import BestConstant
from unstuck.measure.protocol import Unmeasured
from unstuck.measure.scores import split_score
from unstuck.measure.task import Kind, Task
from unstuck.setup import Setup

HARMFUL = 0.1
"""Share of the twin's span by which a fault must hurt to count as one; as for what a report calls large."""


def _no_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    return torch.tensor(math.inf)


class Yardstick:
    """Scores set-ups as the healthy twin is scored.

    By the task's own error where that tells the two apart, else by the twin's loss.
    """

    def __init__(self, twin: Setup, sick: Setup) -> None:
        examination = Examination(twin)
        task = examination.get(Task)
        self.task = None if isinstance(task, Unmeasured) else task
        self.twin = twin
        self.split = "test" if twin.test is not None else "validation" if twin.validation is not None else "train"
        self.most_frequent = self._error_of_most_frequent(twin)
        self.well, self.ill = self.scores(twin), self.scores(sick)
        constant = examination.get(BestConstant)
        name = {"test": "test_loss", "validation": "held_out_loss", "train": "training_loss"}[self.split]
        self.constant: float | None = getattr(constant, name, None)
        self.by_error = self.ill[1] - self.well[1] >= HARMFUL

    def scores(self, setup: Setup) -> tuple[float, float]:
        """Loss and error of a set-up, trained once from its own seed."""
        return self.scores_of(setup, unstuck.fit(setup))

    def scores_of(self, setup: Setup, run: Run) -> tuple[float, float]:
        """Loss and error of a trained set-up; where the twin's loss cannot take its outputs, only the error counts."""
        data = getattr(setup, self.split)
        try:
            score = split_score(self.twin, self.task, setup, run.model, data)
        except UnstuckError:
            score = split_score(replace(self.twin, loss=_no_loss), self.task, setup, run.model, data)
        if math.isnan(score.error):  # its targets are laid out otherwise than the twin's: one-hot, not class numbers
            own = Examination(setup).get(Task)
            own_score = score if isinstance(own, Unmeasured) else split_score(setup, own, setup, run.model, data)
            score = replace(score, error=own_score.error)
        # As a share of the twin's constant error: where classes come in other shares, so would the unit of the error.
        return score.loss, score.error * self._error_of_most_frequent(setup) / self.most_frequent

    def _error_of_most_frequent(self, setup: Setup) -> float:
        """Share of wrong answers of the most frequent one; 1 where the task has no single classes."""
        if self.task is None or self.task.kind not in (Kind.CLASSES, Kind.BINARY):
            return 1.0
        targets = [setup.targets(batch) for batch in getattr(setup, self.split).head(SAMPLES)]
        if not all(isinstance(part, Tensor) for part in targets):
            return 1.0
        one_hot = self.task.kind is Kind.CLASSES and self.task.one_hot
        truth = torch.cat([(part.argmax(1) if one_hot else part.long()).flatten() for part in targets])
        truth = truth[(truth >= 0) & (truth < max(2, self.task.classes))]  # cross_entropy ignores -100
        if not truth.numel():
            return 1.0
        return max(1.0 - int(truth.unique(return_counts=True)[1].max()) / truth.numel(), 1.0 / truth.numel())

    def gap(self) -> float:
        """How much the fault hurts, relative to the twin."""
        return self.closed_by(self.well, whole=False)

    def closed(self, setup: Setup) -> float:
        """Share of the gap that a changed set-up closes."""
        return self.closed_by(self.scores(setup), whole=True)

    def closed_by(self, scores: tuple[float, float], whole: bool) -> float:
        position = 1 if self.by_error else 0
        ill, well, reached = self.ill[position], self.well[position], scores[position]
        worst = 2.0 if self.by_error else 10.0 * max(well, 0.1)
        ill, reached = (
            min(ill, worst) if ill == ill else worst,
            min(reached, worst) if reached == reached else worst,
        )
        if whole:
            return (ill - reached) / max(ill - well, 1e-9)
        # As a share of the span from the best constant down, as in a report.
        span = 1.0 if self.by_error else (abs(ill) if self.constant is None else self.constant - well)
        return (ill - well) / max(span, 1e-9)
