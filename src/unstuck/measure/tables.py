"""A problem as tables, and its fitted learners' answers as tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, final

import numpy as np
import torch
from torch import Tensor

from unstuck.measure.features import Features, Table
from unstuck.measure.learners import (
    Predict,
    boosted_classes,
    boosted_values,
    labels_apart,
    logistic,
    ridge,
)
from unstuck.measure.problem import Problem, Split
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.task import Kind
from unstuck.measure.windows import Windows

ROWS: Final = 4000
"""Rows that are learned from at most."""

Answer = Callable[[Split], Tensor]


def fit_linear(problem: Problem, table: Table, wanted: Table) -> Predict:
    """Logistic regression, or ridge regression for numbers, on a table `[N, D]`."""
    if problem.task.kind is Kind.VALUES:
        return ridge(table, wanted)
    if problem.task.kind is Kind.CLASSES:
        return logistic(table, wanted.astype(np.int64), problem.task.classes)
    return labels_apart(lambda labels: logistic(table, labels, 2), wanted)


def fit_boosting(problem: Problem, table: Table, wanted: Table) -> Predict:
    """Boosted trees on a table `[N, D]`."""
    if problem.task.kind is Kind.VALUES:
        return boosted_values(table, wanted)
    if problem.task.kind is Kind.CLASSES:
        return boosted_classes(table, wanted.astype(np.int64), problem.task.classes)
    return labels_apart(lambda labels: boosted_classes(table, labels, 2), wanted)


@final
class Tables:
    """Features and targets of a problem as tables: a row a sample, or a row a position.

    Attributes:
        train: Training features, `[N, D]`.
        wanted: What is to be learned, `[N]` classes or `[N, K]` numbers.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.ways: Features | Windows
        if problem.positions:
            self.ways = Windows.fit(problem.train.inputs, problem.positions)
        else:
            self.ways = Features.fit(problem.train.inputs)
        wanted = problem.wanted(problem.train)
        self.wanted: Table = wanted.flatten().numpy() if problem.task.kind is Kind.CLASSES else wanted.numpy()
        rows = np.arange(len(self.wanted))
        if problem.task.kind is Kind.CLASSES:
            rows = rows[self.wanted >= 0]
        rows = rows[:: max(1, math.ceil(len(rows) / ROWS))]
        if not len(rows):
            raise NotMeasurable("no training sample has a class that the outputs can name")
        self.train, self.wanted = self.ways.table(problem.train.inputs)[rows], self.wanted[rows]

    def answer(self, predict: Predict) -> Answer:
        """A learner's answers to a split, as `Problem.score` takes them."""

        def answers(split: Split) -> Tensor:
            said = torch.from_numpy(np.ascontiguousarray(predict(self.ways.table(split.inputs))))
            if not self.problem.positions:
                return said
            return said.reshape(len(split), *split.targets.shape[1:], -1).movedim(-1, 1).contiguous()

        return answers
