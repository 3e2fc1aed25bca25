"""Whether the same inputs have other targets in the test data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from unstuck.measure.comparison import LARGE
from unstuck.measure.features import Features, Table
from unstuck.measure.learners import Predict, Whole, quietly
from unstuck.measure.preparation import Prepared
from unstuck.measure.problem import Problem
from unstuck.measure.protocol import NotMeasurable, Unmeasured
from unstuck.measure.shift.ratio import drawn, log_odds
from unstuck.measure.shift.test_data import TestGap
from unstuck.measure.task import Kind, Task
from unstuck.setup.randomness import isolated, one_thread
from unstuck.stats import mean_interval

FOLDS: Final = 5

FEWEST: Final = 40
"""Test samples from which a learner can be taught on four fifths of them."""

LEARNERS: Final = ("linear", "trees", "neighbours")

SIDE: Final = 1000
"""Samples of each side at most."""

MOST_CLASSES: Final = 50

COMMON: Final = 0.2
"""Chance of being a training sample, of as many of each, from which inputs count as common to both."""


REMEMBERED: Final = 0.1
"""Part of a class's share in training that is kept at least."""

MOST: Final = 0.5
"""Share of the test samples that must have such inputs for their labels to be held against each other."""


@final
@dataclass(frozen=True, slots=True)
class ConceptGap:
    """What a learner taught on other test samples knows better than one taught on as many training samples.

    Both are asked about test samples whose inputs come in training as well, and the training samples are drawn in the
    test data's shares of classes and like their inputs: what is left is that the same inputs have other targets.

    Attributes:
        gain: By how much the error of the second is larger, as a share of that of the best constant; NaN, as all
            that follows but `common`, where too few inputs are common.
        low: Lower end of its 95 % interval over samples.
        high: Upper end.
        taught_on_test: Error of the first, as a share of that of the best constant.
        taught_on_training: Error of the second.
        learner: What was taught.
        common: Share of the test samples whose inputs come in training as well.
    """

    cost: ClassVar[float] = 0.5

    gain: float
    low: float
    high: float
    taught_on_test: float
    taught_on_training: float
    learner: str
    common: float

    @property
    def apart(self) -> bool:
        """Whether most test inputs lie where there is hardly a training sample, so that no label can disagree."""
        return self.common < MOST

    @property
    def disagrees(self) -> bool:
        """Whether labels disagree by as much as matters, beyond the interval, on inputs that tell them at all."""
        return self.gain >= LARGE.value and self.low > 0.0 and self.taught_on_test <= 1.0 - LARGE.value

    @property
    def agrees(self) -> bool:
        """Whether they differ by too little to matter."""
        return self.high < LARGE.value or self.gain < 0.5 * LARGE.value

    @classmethod
    def measure(cls, prepared: Prepared, task: Task, gap: TestGap) -> ConceptGap:
        """Teach both, and ask them.

        Args:
            prepared: The set-up with its splits.
            task: The task.
            gap: Of the test loss.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If the test loss is as low as the held-out loss, or there are no or too few labels.
        """
        if not gap.labelled:
            raise NotMeasurable("without test labels it cannot be told whether the same inputs have other targets")
        if not gap.large:
            raise NotMeasurable("the test loss is as low as the held-out loss")
        problem = Problem.of(prepared, task)
        if problem.test is None or len(problem.test) < FEWEST:
            raise NotMeasurable(f"at least {FEWEST} test samples are needed to teach a learner on them")
        if task.per_position or task.kind is Kind.LABELS:
            raise NotMeasurable("it is told for one class or for numbers a sample only")
        with isolated(0), one_thread(), quietly():
            features = Features.fit(problem.train.inputs)
            ours, theirs = features.table(problem.train.inputs)[:SIDE], features.table(problem.test.inputs)[:SIDE]
            wanted = [wanted_of(task, split.targets.numpy())[:SIDE] for split in (problem.train, problem.test)]
            return cls(*_compared(ours, theirs, wanted[0], wanted[1], task.kind is Kind.VALUES))


@final
@dataclass(frozen=True, slots=True)
class Agreement:
    """Whether nothing speaks for other labels: they agree where inputs of both kinds come, or next to none do.

    Attributes:
        shown: False also where it could not be told.
    """

    cost: ClassVar[float] = 0.0

    shown: bool

    @classmethod
    def measure(cls, concept: ConceptGap | Unmeasured) -> Agreement:
        """Take it from the comparison of learners.

        Args:
            concept: Where it could be measured.

        Returns:
            The answer.
        """
        return cls(isinstance(concept, ConceptGap) and (concept.agrees or concept.apart))


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


def _compared(
    ours: Table, theirs: Table, wanted: Any, their_wanted: Any, numbers: bool
) -> tuple[float, float, float, float, float, str, float]:
    draws = np.random.default_rng(0)
    fold = np.empty(len(theirs), dtype=np.int64)
    fold[draws.permutation(len(theirs))] = np.arange(len(theirs)) % FOLDS
    odds = np.clip(log_odds(ours, theirs)[0], -30.0, 30.0)
    common = odds[len(ours) :] <= math.log(1.0 / COMMON - 1.0)
    weights = np.exp(np.minimum(odds[: len(ours)], math.log(1.0 / COMMON - 1.0)))
    if not numbers:  # in the shares of the test data: label shift alone is none of this
        classes = int(max(wanted.max(), their_wanted.max())) + 1
        for number in range(classes):
            mine = wanted == number
            # A class that is gone from the test data may have been renamed: it is not forgotten altogether.
            share = max(float((their_wanted == number).mean()), REMEMBERED * float(mine.mean()))
            weights[mine] *= share / max(float(weights[mine].sum()), 1e-12)
    # Both are taught on as many samples: no more than the weighted training samples are effectively.
    taught = int(weights.sum() ** 2 / max(float((weights**2).sum()), 1e-12))
    if common.mean() < MOST:
        return math.nan, math.nan, math.nan, math.nan, math.nan, "", float(common.mean())
    if common.sum() < FEWEST // 2 or taught < FEWEST // 2:
        raise NotMeasurable("too few samples of either side lie where those of the other do")
    best: tuple[float, str, Table, Table] | None = None
    for learner in LEARNERS:
        errors = np.full((2, len(theirs)), math.nan)
        for number in range(FOLDS):
            learn, check = fold != number, fold == number
            own = np.flatnonzero(learn)
            own = draws.permutation(own)[:taught]
            rows = drawn(weights, len(own), number)
            for place, predict in enumerate(
                (
                    _taught(learner, theirs[own], their_wanted[own], numbers),
                    _taught(learner, ours[rows], wanted[rows], numbers),
                )
            ):
                errors[place, check] = _errors(predict(theirs[check]), their_wanted[check], numbers)
        least = float(errors[0, common].mean())
        if best is None or least < best[0]:
            best = least, learner, errors[0], errors[1]
    assert best is not None  # there are learners
    constant = _constant(their_wanted[common], numbers)
    difference = (best[3] - best[2])[common] / constant
    interval = mean_interval(difference.tolist())
    return (
        float(difference.mean()),
        interval.low,
        interval.high,
        best[0] / constant,
        float(best[3][common].mean()) / constant,
        best[1],
        float(common.mean()),
    )


def _taught(learner: str, table: Table, wanted: Any, numbers: bool) -> Predict:
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


def _errors(said: Any, wanted: Any, numbers: bool) -> Table:
    if numbers:
        return np.asarray(((said.reshape(wanted.shape) - wanted) ** 2).mean(1))
    return np.asarray((said != wanted).astype(np.float64))


def _constant(wanted: Any, numbers: bool) -> float:
    """Error of the best constant."""
    if numbers:
        return max(float(((wanted - wanted.mean(0)) ** 2).mean()), 1e-30)
    counts: Whole = np.unique(wanted, return_counts=True)[1]
    return max(1.0 - float(counts.max()) / len(wanted), 1.0 / len(wanted))
