"""Linear models and boosted trees of scikit-learn, asked for log-probabilities, logits or numbers."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from unstuck.measure.features import Table
from unstuck.measure.protocol import NotMeasurable

Whole = np.ndarray[Any, np.dtype[np.int64]]
Predict = Callable[[Table], Table]

PENALTIES: Final = (1.0, 0.01)
"""Inverse strengths of the penalty that logistic regression chooses from."""

ALPHAS: Final = (1e-3, 1e-1, 1e1, 1e3, 1e5)
"""Strengths of the penalty that ridge regression chooses from, in units of the samples' mean leverage."""

BOOSTED: Final = 1500
"""Samples that boosting learns from at most."""

MOST_CLASSES: Final = 20
"""Classes that boosting is fitted to at most: it grows a tree for each in every round."""

MOST_COLUMNS: Final = 4
"""Numbers of one target that boosting is fitted to at most, a model each."""

MOST_LABELS: Final = 32
"""Labels of one sample that are learnt at most, a model each."""


@contextmanager
def quietly() -> Iterator[None]:
    """Run scikit-learn on one thread, without its warnings of slow convergence."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with warnings.catch_warnings(), threadpool_limits(1), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def logistic(table: Table, labels: Whole, classes: int) -> Predict:
    """Multinomial logistic regression; the penalty is chosen on every fifth sample.

    Args:
        table: Standardised features, `[N, D]`.
        labels: Classes, `[N]`.
        classes: How many there are, seen or not.

    Returns:
        Features to log-probabilities `[M, classes]`.
    """
    from sklearn.linear_model import LogisticRegression

    def fit(rows: Any, penalty: float) -> Predict:
        present = np.unique(labels[rows])
        if len(present) < 2:
            return _shares(labels[rows], classes)
        model = LogisticRegression(C=penalty, max_iter=200).fit(table[rows], labels[rows])
        return spread_over(model.predict_proba, present, classes, len(labels))

    every = np.arange(len(labels))
    check, learn = every % 5 == 4, every % 5 != 4

    def cost(penalty: float) -> float:
        said = fit(learn, penalty)(table[check])
        return -float(said[np.arange(int(check.sum())), labels[check]].mean())

    return fit(every, min(PENALTIES, key=cost))


def labels_apart(fit: Callable[[Whole], Predict], wanted: Table) -> Predict:
    """One yes/no learner a column.

    Args:
        fit: From labels 0 and 1, `[N]`, to log-probabilities `[M, 2]`.
        wanted: Zeros and ones, `[N, K]`.

    Returns:
        Features to logits `[M, K]`.

    Raises:
        NotMeasurable: If there are too many columns.
    """
    if wanted.shape[1] > MOST_LABELS:
        raise NotMeasurable(f"{wanted.shape[1]} labels are too many to learn each by itself")
    made = [fit((column > 0.5).astype(np.int64)) for column in wanted.T]
    return lambda table: np.stack([said[:, 1] - said[:, 0] for said in (one(table) for one in made)], 1)


def ridge(table: Table, wanted: Table) -> Predict:
    """Ridge regression; the penalty is chosen on every fifth sample.

    Hoerl & Kennard, "Ridge regression", Technometrics 12 (1970), solved for all penalties at once by the
    eigenvalues of the features' covariance.

    Args:
        table: Standardised features, `[N, D]`.
        wanted: Numbers, `[N, K]`.

    Returns:
        Features to numbers `[M, K]`.
    """
    scale = wanted.std(0)
    scale[scale == 0.0] = 1.0
    every = np.arange(len(table))
    learn, check = every % 5 != 4, every % 5 == 4

    def solve(rows: Any) -> Callable[[float], Predict]:
        middle, centre = wanted[rows].mean(0), table[rows].mean(0)
        features, targets = table[rows] - centre, (wanted[rows] - middle) / scale
        values, vectors = np.linalg.eigh(features.T @ features)
        turned = vectors.T @ (features.T @ targets)

        def with_penalty(alpha: float) -> Predict:
            weights = vectors @ (turned / (np.maximum(values, 0.0) + alpha)[:, None]) * scale
            return lambda asked: (asked - centre) @ weights + middle

        return with_penalty

    partly = solve(learn)

    def cost(alpha: float) -> float:
        return float((((partly(alpha)(table[check]) - wanted[check]) / scale) ** 2).mean())

    return solve(every)(min(ALPHAS, key=cost))


def boosted_classes(table: Table, labels: Whole, classes: int) -> Predict:
    """Gradient boosting of histogram trees, stopped early on a part that it does not learn from.

    Args:
        table: Features, `[N, D]`.
        labels: Classes, `[N]`.
        classes: How many there are, seen or not.

    Returns:
        Features to log-probabilities `[M, classes]`.

    Raises:
        NotMeasurable: If there are too many classes.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    present, counts = np.unique(labels, return_counts=True)
    if len(present) > MOST_CLASSES:
        raise NotMeasurable(f"boosting a tree for each of {len(present)} classes takes too long")
    usable = np.isin(labels, present[counts >= 4])
    kept = np.flatnonzero(usable)[:: max(1, math.ceil(usable.sum() / BOOSTED))]
    present = np.unique(labels[kept])
    if len(present) < 2:
        return _shares(labels, classes)
    trees = 1 if len(present) == 2 else len(present)
    model = HistGradientBoostingClassifier(**_boosting(max(8, min(60, 200 // trees))))
    model.fit(table[kept], labels[kept])
    return spread_over(model.predict_proba, present, classes, len(kept))


def boosted_values(table: Table, wanted: Table) -> Predict:
    """Gradient boosting for numbers, one model a column.

    Args:
        table: Features, `[N, D]`.
        wanted: Numbers, `[N, K]`.

    Returns:
        Features to numbers `[M, K]`.

    Raises:
        NotMeasurable: If there are too many columns.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    if wanted.shape[1] > MOST_COLUMNS:
        raise NotMeasurable(f"boosting each of {wanted.shape[1]} target columns takes too long")
    kept = np.arange(len(table))[:: max(1, math.ceil(len(table) / BOOSTED))]
    made = [HistGradientBoostingRegressor(**_boosting(60)).fit(table[kept], column[kept]) for column in wanted.T]
    return lambda asked: np.stack([model.predict(asked) for model in made], 1)


def _boosting(iterations: int) -> dict[str, Any]:
    return {
        "max_iter": iterations,
        "learning_rate": 0.2,
        "max_leaf_nodes": 8,
        "max_bins": 32,
        "early_stopping": True,
        "validation_fraction": 0.2,
        "n_iter_no_change": 5,
        "random_state": 0,
    }


def _shares(labels: Whole, classes: int) -> Predict:
    counts = np.bincount(labels, minlength=classes) + 0.5
    said = np.log(counts / counts.sum())
    return lambda table: np.tile(said, (len(table), 1))


def spread_over(predict: Predict, present: Whole, classes: int, samples: int) -> Predict:
    """Log-probabilities over all classes; those that were never seen, and zeros, get a share of 1/N.

    Args:
        predict: Features to probabilities of the classes that are `present`.
        present: Numbers of the classes that it was fitted to.
        classes: How many there are, seen or not.
        samples: N, the number of samples that it was fitted to.

    Returns:
        Features to log-probabilities `[M, classes]`.
    """

    def asked(table: Table) -> Table:
        chances = np.zeros((len(table), classes))
        chances[:, present] = predict(table)
        least = 1.0 / samples
        return np.asarray(np.log((1.0 - least) * chances + least / classes))

    return asked
