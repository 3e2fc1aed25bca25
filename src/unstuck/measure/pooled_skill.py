"""What learners know that are taught on all labelled samples there are, held-out and test samples too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from unstuck.measure.features import Features
from unstuck.measure.learners import Whole, quietly
from unstuck.measure.preparation import Prepared
from unstuck.measure.problem import Problem
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.table_learners import LEARNERS, constant_error, errors_of, require_one_target, taught_on, wanted_of
from unstuck.measure.task import Kind, Task
from unstuck.setup.randomness import isolated, one_thread

FOLDS: Final = 5

MOST: Final = 3000
"""Samples at most, evenly from all splits."""


@final
@dataclass(frozen=True, slots=True)
class PooledSkill:
    """The best of a few learners, cross-validated over all labelled samples.

    Where the training samples are few and others are many, this finds a signal that no learner can find in the former:
    that nothing was learnt then says how few they are, not that there is nothing to be learnt.

    Attributes:
        learner: The best one.
        error: Its error on samples that it has not seen, as a share of that of the best constant.
        standard_error: Of `error`.
        samples: All of them.
    """

    cost: ClassVar[float] = 0.5

    learner: str
    error: float
    standard_error: float
    samples: int

    @classmethod
    def measure(cls, prepared: Prepared, task: Task) -> PooledSkill:
        """Teach them on four fifths and ask about the rest, five times over.

        Args:
            prepared: The set-up with its splits.
            task: The task.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If there is no one target a sample, or all samples are training samples.
        """
        require_one_target(task)
        if prepared.held_out is prepared.setup.train:
            raise NotMeasurable("there are no labelled samples but those of training")
        problem = Problem.of(prepared, task)
        splits = [split for split in (problem.train, problem.held_out, problem.test) if split is not None]
        with isolated(0), one_thread(), quietly():
            features = Features.fit(problem.train.inputs)
            table = np.concatenate([features.table(split.inputs) for split in splits])
            wanted = np.concatenate([wanted_of(task, split.targets.numpy()) for split in splits])
            rows: Whole = np.random.default_rng(0).permutation(len(table))[:MOST]
            table, wanted, numbers = table[rows], wanted[rows], task.kind is Kind.VALUES
            constant = constant_error(wanted, numbers)
            fold = np.arange(len(rows)) % FOLDS
            found = []
            for learner in LEARNERS:
                errors = np.empty(len(rows))
                for number in range(FOLDS):
                    learn, check = fold != number, fold == number
                    predict = taught_on(learner, table[learn], wanted[learn], numbers)
                    errors[check] = errors_of(predict(table[check]), wanted[check], numbers)
                found.append((float(errors.mean()), float(errors.std()) / len(rows) ** 0.5, learner))
        error, spread, learner = min(found)
        return cls(learner, error / constant, spread / constant, len(rows))
