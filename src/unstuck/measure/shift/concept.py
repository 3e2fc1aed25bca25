"""Whether the same inputs have other targets in the test data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from unstuck.measure.comparison import LARGE
from unstuck.measure.features import Features, Table
from unstuck.measure.learners import quietly
from unstuck.measure.preparation import Prepared
from unstuck.measure.problem import Problem
from unstuck.measure.protocol import NotMeasurable, Unmeasured
from unstuck.measure.shift.ratio import drawn, log_odds
from unstuck.measure.shift.test_data import TestGap
from unstuck.measure.table_learners import LEARNERS, constant_error, errors_of, require_one_target, taught_on, wanted_of
from unstuck.measure.task import Kind, Task
from unstuck.setup.randomness import isolated, one_thread
from unstuck.stats import mean_interval

FOLDS: Final = 5

FEWEST: Final = 40
"""Test samples from which a learner can be taught on four fifths of them."""

SIDE: Final = 1000
"""Samples of each side at most."""

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
        require_one_target(task)
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
                    taught_on(learner, theirs[own], their_wanted[own], numbers),
                    taught_on(learner, ours[rows], wanted[rows], numbers),
                )
            ):
                errors[place, check] = errors_of(predict(theirs[check]), their_wanted[check], numbers)
        least = float(errors[0, common].mean())
        if best is None or least < best[0]:
            best = least, learner, errors[0], errors[1]
    assert best is not None  # there are learners
    constant = constant_error(their_wanted[common], numbers)
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
