"""Density ratios: how much more often an input comes in the test data than in training."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Final, final

import numpy as np

from unstuck.measure.features import Table
from unstuck.measure.learners import Whole
from unstuck.measure.shift.permutation import expanded, normal_scores

FOLDS: Final = 5

PENALTIES: Final = (1.0, 0.01)
"""Inverse strengths of the penalty that the classifier chooses from."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Ratio:
    """Importance weights of training samples.

    Attributes:
        weights: Test density over training density, capped, of mean 1, shape `[N]`.
        effective: Effective number of samples, (Σw)² / Σw² (Kish, "Survey sampling", 1965).
        capped: How many weights the cap took something from.
        classifier: What they come from.
        odds: Natural logarithm of the density ratio at the samples of both sides, shape `[N + M]`; empty
            where not known.
    """

    weights: Table
    effective: float
    capped: int
    classifier: str
    odds: Table = field(default_factory=lambda: np.empty(0))


def density_ratio(ours: Table, theirs: Table, seed: int = 0) -> Ratio:
    """Weights under which training samples stand for the test inputs, from a classifier that tells the two apart.

    w(x) = p(test | x) / p(training | x) · N / M (Bickel, Brückner & Scheffer, "Discriminative learning under covariate
    shift", JMLR 10, 2009; Sugiyama, Suzuki & Kanamori, "Density ratio estimation in machine learning", 2012). Each
    sample is weighted by a classifier that has not seen it. Logistic regression on the columns, on their normal scores
    with squares and products, and gradient boosting are compared by cross-validated likelihood. Weights are capped at
    √N times their mean (Ionides, "Truncated importance sampling", 2008).

    Args:
        ours: Training inputs, shape `[N, D]`.
        theirs: Test inputs, shape `[M, D]`.
        seed: Seeds the folds.

    Returns:
        The weights.
    """
    odds, name = log_odds(ours, theirs, seed)
    raw = np.exp(np.clip(odds[: len(ours)], -30.0, 30.0))
    return replace(capped(raw / raw.mean(), name), odds=odds)


def log_odds(ours: Table, theirs: Table, seed: int = 0) -> tuple[Table, str]:
    """Logarithm of the density ratio at every sample of both sides, by a classifier that has not seen it.

    Args:
        ours: Training inputs, shape `[N, D]`.
        theirs: Test inputs, shape `[M, D]`.
        seed: Seeds the folds.

    Returns:
        Shape `[N + M]`, and the classifier whose cross-validated likelihood is the largest.
    """
    table = np.concatenate([ours, theirs])
    labels = np.repeat([0, 1], [len(ours), len(theirs)])
    spread = table.std(0)
    plain = (table - table.mean(0)) / np.where(spread > 0.0, spread, 1.0)
    fold = _folds(labels, seed)
    candidates: list[tuple[str, Table, float]] = [("logistic regression", plain, c) for c in PENALTIES]
    squares = expanded(normal_scores(table))
    candidates += [("logistic regression on squares and products", squares, c) for c in PENALTIES]
    candidates += [("gradient boosting", table, 0.0)]
    best: tuple[float, str, Table] | None = None
    for name, columns, penalty in candidates:
        odds = _odds(columns, labels, fold, penalty)
        cost = float(np.logaddexp(0.0, np.where(labels == 1, -odds, odds)).mean())
        if best is None or cost < best[0]:
            best = cost, name, odds
    assert best is not None  # there are candidates
    return best[2] + math.log(len(ours) / len(theirs)), best[1]


def capped(weights: Table, classifier: str) -> Ratio:
    """Weights of mean 1 with the largest cut off at √N."""
    limit = np.sqrt(len(weights))
    cut = np.minimum(weights, limit)
    made = cut / cut.mean()
    effective = float(made.sum() ** 2 / (made**2).sum())
    return Ratio(made, effective, int((weights > limit).sum()), classifier)


def drawn(weights: Table, count: int, seed: int) -> Whole:
    """Rows drawn in proportion to their weights, with the least scatter.

    Systematic resampling (Carpenter, Clifford & Fearnhead, "Improved particle filter for nonlinear problems", 1999): a
    row of weight w comes ⌊w⌋ or ⌈w⌉ times where as many rows are drawn as there are.

    Args:
        weights: Shape `[N]`.
        count: How many to draw.
        seed: Seeds the start and the order.

    Returns:
        Shape `[count]`.
    """
    draws = np.random.default_rng(seed)
    order = draws.permutation(len(weights))
    ends = np.cumsum(weights[order])
    places = (np.arange(count) + draws.random()) / count * ends[-1]
    return np.asarray(order[np.minimum(np.searchsorted(ends, places), len(order) - 1)])


def _folds(labels: Whole, seed: int) -> Whole:
    draws = np.random.default_rng(seed)
    fold = np.empty(len(labels), dtype=np.int64)
    for side in (0, 1):
        members = np.flatnonzero(labels == side)
        fold[draws.permutation(members)] = np.arange(len(members)) % FOLDS
    return fold


def _odds(columns: Table, labels: Whole, fold: Whole, penalty: float) -> Table:
    """Logarithm of the odds of the second side by a classifier taught on the other folds, `[N + M]`."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    said = np.empty(len(labels))
    for number in range(FOLDS):
        learn, check = fold != number, fold == number
        model: Any
        if penalty:
            model = LogisticRegression(C=penalty, max_iter=200)
        else:
            model = HistGradientBoostingClassifier(
                max_iter=30, learning_rate=0.15, max_leaf_nodes=6, max_bins=32, early_stopping=False, random_state=0
            )
        said[check] = model.fit(columns[learn], labels[learn]).decision_function(columns[check])
    return said
