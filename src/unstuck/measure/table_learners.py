"""Three quick learners on a table, taught many times over where two sets of samples are held against each other."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from unstuck.measure.features import Table
from unstuck.measure.learners import Predict, Whole
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.task import Kind, Task

LEARNERS: Final = ("linear", "trees", "neighbours")

MOST_CLASSES: Final = 50


def require_one_target(task: Task) -> None:
    """Refuse what has several targets a sample.

    Args:
        task: The task.

    Raises:
        NotMeasurable: If there is a target for every position, or several labels at once.
    """
    if task.per_position or task.kind is Kind.LABELS:
        raise NotMeasurable("it is told for one class or for numbers a sample only")


def wanted_of(task: Task, targets: Any) -> Any:
    """Targets as a learner takes them.

    Args:
        task: The task.
        targets: An array `[N, …]`.

    Returns:
        Whole numbers `[N]` for classes, numbers `[N, K]` with K of 4 at most for values.

    Raises:
        NotMeasurable: If there are too many classes.
    """
    if task.kind is Kind.VALUES:
        return np.asarray(targets, dtype=np.float64).reshape(len(targets), -1)[:, :4]
    if task.classes > MOST_CLASSES:
        raise NotMeasurable(f"{task.classes} classes are too many")
    return (targets.argmax(1) if task.one_hot else targets.reshape(len(targets))).astype(np.int64)


def taught_on(learner: str, table: Table, wanted: Any, numbers: bool) -> Predict:
    """Teach a learner.

    Args:
        learner: One of `LEARNERS`.
        table: Shape `[N, D]`.
        wanted: As `wanted_of` gives them.
        numbers: Whether they are numbers, not classes.

    Returns:
        Answers for other rows.
    """
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    if not numbers and len(np.unique(wanted)) < 2:
        only = int(wanted[0])
        return lambda asked: np.full(len(asked), only)
    model: Any
    if learner == "linear":
        model = Ridge(1.0) if numbers else LogisticRegression(C=0.3, max_iter=200)
    elif learner == "neighbours":
        model = KNeighborsRegressor(5) if numbers else KNeighborsClassifier(5)
    else:
        trees = {"n_estimators": 60, "min_samples_leaf": 2, "random_state": 0}
        model = ExtraTreesRegressor(**trees) if numbers else ExtraTreesClassifier(**trees)
    predict: Predict = model.fit(table, wanted).predict
    return predict


def errors_of(said: Any, wanted: Any, numbers: bool) -> Table:
    """Whether each answer is wrong, or its squared error, `[N]`."""
    if numbers:
        return np.asarray(((said.reshape(wanted.shape) - wanted) ** 2).mean(1))
    return np.asarray((said != wanted).astype(np.float64))


def constant_error(wanted: Any, numbers: bool) -> float:
    """Error of the best constant."""
    if numbers:
        return max(float(((wanted - wanted.mean(0)) ** 2).mean()), 1e-30)
    counts: Whole = np.unique(wanted, return_counts=True)[1]
    return max(1.0 - float(counts.max()) / len(wanted), 1.0 / len(wanted))
