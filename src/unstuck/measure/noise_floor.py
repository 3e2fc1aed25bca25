"""The noise floor: how much of the task's error no model can lose, as far as these samples tell."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from unstuck.measure.learners import quietly
from unstuck.measure.preparation import Prepared
from unstuck.measure.problem import Problem
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.tables import Tables, fit_boosting, fit_linear
from unstuck.measure.task import Kind, Task
from unstuck.setup.randomness import isolated, one_thread
from unstuck.stats import mean_interval, wilson_interval

FOLDS: Final = 5
FEWEST: Final = 40
"""Training samples below which a fold leaves too few to learn from."""

Array = np.ndarray[Any, Any]


@final
@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """The lowest error that other learners reach on samples that they did not see.

    Attributes:
        value: Share of wrong answers, or squared error over the variance of the targets (1 − R²).
        low: For classes the bound that the nearest neighbour gives from below, at the lower end of its 95 % interval;
            it holds where neighbours are close, and is too high where samples are few for their features. For numbers
            the lower end of the interval of `value`: nothing bounds their noise from below.
        high: Upper end of the 95 % interval of `value`: no model need be worse.
        learner: Which learner reaches it.
        constant: The error of always giving the most frequent answer, or the mean: what counts as 1 elsewhere.
    """

    cost: ClassVar[float] = 1.0

    value: float
    low: float
    high: float
    learner: str
    constant: float = 1.0

    @classmethod
    def measure(cls, prepared: Prepared, task: Task) -> NoiseFloor:
        """Cross-fit a linear learner and gradient boosting on the training samples.

        Cover & Hart, "Nearest neighbor pattern classification", 1967: with c classes, the least possible error is at
        least (c − 1)/c · (1 − √(1 − c/(c − 1) · e)) where e is the error of the nearest neighbour.

        Args:
            prepared: The set-up with its splits.
            task: The task.

        Returns:
            The floor.

        Raises:
            NotMeasurable: If a learner cannot be put to this task, or there are too few samples.
        """
        if task.kind not in (Kind.CLASSES, Kind.BINARY, Kind.VALUES) or task.per_position:
            raise NotMeasurable("the noise floor is told for classes, yes/no and numbers, one answer a sample")
        problem = Problem.of(prepared, task)
        with isolated(0), one_thread(), quietly():
            table = Tables(problem)
            if len(table.wanted) < FEWEST:
                raise NotMeasurable(f"the noise floor needs {FEWEST} training samples; there are {len(table.wanted)}")
            fits = (("a linear learner", fit_linear), ("gradient boosting", fit_boosting))
            found = {name: _crossed(problem, table, fit) for name, fit in fits}
        learner = min(found, key=lambda name: float(found[name].mean()))
        errors = found[learner]
        value = float(errors.mean())
        if task.kind is Kind.VALUES:
            interval = mean_interval(errors.tolist())
            return cls(value, max(0.0, interval.low), interval.high, learner)
        high = wilson_interval(round(value * len(errors)), len(errors)).high
        labels = table.wanted.reshape(len(table.wanted), -1)[:, 0]
        low = min(value, _nearest_neighbour_bound(table.train, labels))
        most = float(np.unique(labels, return_counts=True)[1].max()) / len(labels)
        return cls(value, low, high, learner, max(1.0 - most, 1.0 / len(labels)))


def _crossed(problem: Problem, table: Tables, fit: Any) -> Array:
    """Error of each training sample by a learner that was fitted without it, `[N]`."""
    from sklearn.model_selection import KFold

    wanted, errors = table.wanted, np.zeros(len(table.wanted))
    for first, second in KFold(FOLDS, shuffle=True, random_state=0).split(table.train):
        said = np.asarray(fit(problem, table.train[first], wanted[first])(table.train[second]))
        truth = wanted[second]
        if problem.task.kind is Kind.CLASSES:
            errors[second] = said.argmax(1) != truth
        elif problem.task.kind is Kind.BINARY:
            errors[second] = ((said > 0.0) != (truth.reshape(said.shape) > 0.5)).reshape(len(second), -1).mean(1)
        else:
            errors[second] = ((said - truth.reshape(said.shape)) ** 2).reshape(len(second), -1).mean(1)
    if problem.task.kind is Kind.VALUES:
        errors /= max(float(((wanted - wanted.mean(0)) ** 2).mean()), 1e-30)
    return errors


def _nearest_neighbour_bound(table: Array, labels: Array) -> float:
    """The least possible share of wrong answers by Cover and Hart, at the lower end of its interval."""
    from sklearn.neighbors import NearestNeighbors

    _, neighbours = NearestNeighbors(n_neighbors=2).fit(table).kneighbors(table)
    wrong = int((labels[neighbours[:, 1]] != labels).sum())
    classes = max(2, len(np.unique(labels)))
    error = wilson_interval(wrong, len(labels)).low
    most = (classes - 1) / classes
    return most * (1.0 - math.sqrt(max(0.0, 1.0 - error / most)))
