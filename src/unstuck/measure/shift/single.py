"""What each feature by itself tells of the targets, in training and in the test data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from unstuck.measure.features import InputKind, Table, input_kind
from unstuck.measure.learners import quietly
from unstuck.measure.preparation import Prepared
from unstuck.measure.problem import Problem, Split
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.shift.test_data import TestGap
from unstuck.measure.table_learners import require_one_target
from unstuck.measure.task import Kind, Task
from unstuck.setup.randomness import isolated, one_thread

WIDEST: Final = 200
"""Features at most: each gets a tree of its own."""

LEAVES: Final = 24
FEWEST: Final = 5
"""Leaves of a tree at most, and samples in each at least."""

LISTED: Final = 3


@final
@dataclass(frozen=True, slots=True)
class Alone:
    """One feature by itself.

    Attributes:
        number: Its column.
        held_out: Error of a tree on this feature alone on held-out samples, as a share of the best constant's.
        test: The same on the test samples.
    """

    number: int
    held_out: float
    test: float


@final
@dataclass(frozen=True, slots=True)
class SingleFeatures:
    """The features that tell most by themselves on held-out samples, the best first.

    Attributes:
        features: At most three.
        columns: Features there are.
    """

    cost: ClassVar[float] = 0.2

    features: tuple[Alone, ...]
    columns: int

    @classmethod
    def measure(cls, prepared: Prepared, task: Task, gap: TestGap) -> SingleFeatures:
        """Grow a tree on every feature.

        Args:
            prepared: The set-up with its splits.
            task: The task.
            gap: Of the test loss.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If the test loss is as low as the held-out loss, there are no labels, or no table.
        """
        if not gap.labelled:
            raise NotMeasurable("without test labels it cannot be told what a feature tells there")
        if not gap.large:
            raise NotMeasurable("the test loss is as low as the held-out loss")
        problem = Problem.of(prepared, task)
        tables = problem.train.inputs
        if problem.test is None or len(tables) != 1 or tables[0].dim() != 2:
            raise NotMeasurable("features by themselves are looked at in one table of inputs only")
        if input_kind(tables[0]) is not InputKind.VECTORS or not 2 <= tables[0].shape[1] <= WIDEST:
            raise NotMeasurable(f"the inputs are no 2 to {WIDEST} numbers a sample")
        require_one_target(task)
        with isolated(0), one_thread(), quietly():
            splits = [_pair(task, split) for split in (problem.train, problem.held_out, problem.test)]
            found = [_alone(number, task.kind is Kind.VALUES, *splits) for number in range(tables[0].shape[1])]
        best = sorted(found, key=lambda one: one.held_out)[:LISTED]
        return cls(tuple(best), tables[0].shape[1])


def _pair(task: Task, split: Split) -> tuple[Table, Any]:
    targets: Any = split.targets
    if task.kind is Kind.VALUES:
        wanted = targets.double().reshape(len(targets), -1).numpy()
    else:
        wanted = (targets.argmax(1) if task.one_hot else targets.reshape(len(targets))).long().numpy()
    return split.inputs[0].double().numpy(), wanted


def _alone(
    number: int, numbers: bool, train: tuple[Table, Any], held_out: tuple[Table, Any], test: tuple[Table, Any]
) -> Alone:
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    kind: Any = DecisionTreeRegressor if numbers else DecisionTreeClassifier
    tree = kind(max_leaf_nodes=LEAVES, min_samples_leaf=FEWEST, random_state=0)
    tree.fit(train[0][:, [number]], train[1])

    def error(inputs: Table, wanted: Any) -> float:
        said = tree.predict(inputs[:, [number]])
        if numbers:
            variance = ((wanted - wanted.mean(0)) ** 2).mean()
            return float(((said.reshape(wanted.shape) - wanted) ** 2).mean() / max(variance, 1e-30))
        most = np.unique(wanted, return_counts=True)[1].max() / len(wanted)
        return float((said != wanted).mean() / max(1.0 - most, 1.0 / len(wanted)))

    return Alone(number, error(*held_out), error(*test))
