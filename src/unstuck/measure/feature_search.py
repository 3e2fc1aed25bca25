"""Whether a learner that is given derived features goes lower than every learner on the inputs as they are."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np
import torch

from unstuck.edits.derived_features import FORMULAS, Derived
from unstuck.errors import RemedyError
from unstuck.measure.comparison import LARGE, Comparison
from unstuck.measure.features import InputKind, input_kind
from unstuck.measure.learners import quietly
from unstuck.measure.preparation import Prepared
from unstuck.measure.problem import Problem, Split
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.references import References
from unstuck.measure.tables import fit_linear
from unstuck.measure.task import Task
from unstuck.setup.randomness import isolated, one_thread

WIDEST: Final = 24
"""Features of which others are derived at most."""


@final
@dataclass(frozen=True, slots=True)
class FeatureSearch:
    """The best linear learner on derived features, against everything on the inputs as they are.

    Errors are those of the task: 0 for perfect answers, 1 for the best constant one.

    Attributes:
        formula: What the derived features are, "" where none could be had.
        training_error: Of the learner that is given them, on the training split.
        held_out_error: On the held-out split.
        standard_error: Of `held_out_error`.
        known_error: Lowest held-out error of all that was tried on the inputs as they are.
        known_name: What has it.
        given_training_error: Of the run as given, on the training split.
        given_held_out_error: On the held-out split.
    """

    cost: ClassVar[float] = 4.0

    formula: str
    training_error: float
    held_out_error: float
    standard_error: float
    known_error: float
    known_name: str
    given_training_error: float
    given_held_out_error: float

    @classmethod
    def measure(
        cls, prepared: Prepared, comparison: Comparison, task: Task, references: Callable[[], References]
    ) -> FeatureSearch:
        """Fit a linear learner on each kind of derived features.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If something else is to be mended first, or the inputs are no table of few features.
        """
        given = comparison.given
        if comparison.settled or comparison.narrow_on_purpose:
            raise NotMeasurable("there is little left to learn, or the targets are the inputs")
        if comparison.training_may_be_large:
            raise NotMeasurable("others go lower on the inputs as they are; that is to be mended first")
        if not min(given.training.error, given.held_out.error) >= LARGE.value:
            raise NotMeasurable("there is little left to learn")
        problem = Problem.of(prepared, task)
        inputs = problem.train.inputs
        if problem.positions or len(inputs) != 1 or input_kind(inputs[0]) is not InputKind.VECTORS:
            raise NotMeasurable("features are derived from one table of numbers only")
        if inputs[0].dim() != 2 or inputs[0].shape[1] > WIDEST:
            raise NotMeasurable(f"features are derived from a table of at most {WIDEST} columns")
        known = [(given.held_out.error, "the run as given")]
        known += [(c.held_out, c.name) for c in comparison.comparators if c.scale == "error"]
        known += [(r.held_out_error, r.name) for r in references().references if r.held_out_error is not None]
        error, name = min(known)
        best: FeatureSearch | None = None
        with isolated(0), one_thread(), quietly():
            for formula in FORMULAS:
                try:
                    scores = _scores(problem, formula)
                except RemedyError:
                    continue
                if scores is not None and (best is None or scores[1] < best.held_out_error):
                    best = cls(formula, *scores, error, name, given.training.error, given.held_out.error)
        if best is None:
            raise NotMeasurable("no features could be derived")
        return best


def _scores(problem: Problem, formula: str) -> tuple[float, float, float] | None:
    """Training error, held-out error and its standard error of a linear learner on derived features besides."""
    layer = Derived(problem.train.inputs[0].double(), formula)

    def table(split: Split) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        inputs = split.inputs[0].double()
        plain = (inputs - problem.train.inputs[0].double().mean(0)) / layer.scale
        return torch.cat([plain, layer.derive(inputs)], 1).numpy()

    wanted = problem.wanted(problem.train).numpy()
    rows = wanted >= 0 if wanted.ndim == 1 else np.ones(len(wanted), dtype=bool)
    predict = fit_linear(problem, table(problem.train)[rows], wanted[rows])

    def score(split: Split) -> tuple[float | None, float | None]:
        outcome = problem.score(split, torch.from_numpy(np.ascontiguousarray(predict(table(split)))))
        return outcome.error, outcome.error_standard_error

    training, (held_out, noise) = score(problem.train)[0], score(problem.held_out)
    if training is None or held_out is None or math.isnan(training + held_out):
        return None
    return training, held_out, noise or 0.0
