"""Do two samples come from one distribution? Several tests on the same permutations, joined without losing the level.

Nothing here knows of models: two tables of numbers go in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np

from unstuck.measure.features import Table
from unstuck.measure.learners import Whole

PERMUTATIONS: Final = 299
"""Of the labels: p-values come in steps of 1/300."""

FOLDS: Final = 5

PENALTY: Final = 0.1
"""Of the ridge classifier, in units of the samples' number: the columns have variance 1."""

PRODUCTS: Final = 8
"""Columns, or principal axes where there are more, whose products are looked at."""

TAIL: Final = 1.645
"""Normal score beyond which a value is in a tail: the outer tenth, both sides together."""

BANDWIDTHS: Final = (0.5, 1.0, 2.0)
"""Of the kernel, times the median distance."""

TESTS: Final = ("classifier", "moments", "margins", "kernel")

WEIGHTS: Final = (1.0, 1.0, 1.0, 2.0)
"""Of the logarithms of their p-values: only the kernel sees small shifts of many columns (`python -m bench.shifts`)."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Permuted:
    """What the tests say, every p-value from the same permutations.

    Attributes:
        p_value: Of all tests together.
        p_values: Of each of `TESTS` by itself.
        area: Cross-validated area under the ROC curve of the ridge classifier.
        distances: Largest distance of the distribution functions of each column, shape `[D]`.
        column_p_values: The same as p-values, corrected for the number of columns.
        scores: Of each sample of both sides by a classifier that has not seen it, higher for the second side,
            shape `[N + M]`.
    """

    p_value: float
    p_values: tuple[float, ...]
    area: float
    distances: Table
    column_p_values: Table
    scores: Table


def compare(ours: Table, theirs: Table, permutations: int = PERMUTATIONS, seed: int = 0) -> Permuted:
    """Test whether two samples have one distribution.

    Four tests: a classifier that is asked for samples it has not seen (Lopez-Paz & Oquab, "Revisiting classifier
    two-sample tests", 2017; ridge regression on normal scores, their squares, tails and products); the largest
    difference of those columns' means; the largest Kolmogorov–Smirnov distance of a column; and the maximum mean
    discrepancy (Gretton et al., "A kernel two-sample test", JMLR 13, 2012). Both the sum of the logarithms of their
    p-values (Fisher, "Statistical methods for research workers", 1925), which finds what several see faintly, and the
    smallest of them, which finds what one sees well, are held against themselves over the same permutations (Westfall &
    Young, "Resampling-based multiple testing", 1993), so that looking several times costs no false alarms.

    Args:
        ours: Shape `[N, D]`.
        theirs: Shape `[M, D]`.
        permutations: How often the sides are drawn anew.
        seed: Seeds the draws.

    Returns:
        The p-values and what they rest on.
    """
    table = np.concatenate([ours, theirs])
    count = len(table)
    draws = np.random.default_rng(seed)
    labels = np.zeros((count, permutations + 1))
    labels[len(ours) :, 0] = 1.0
    for number in range(permutations):
        labels[draws.permutation(count)[: len(theirs)], number + 1] = 1.0
    scores = normal_scores(table)
    columns = expanded(scores)
    said = _cross_fitted(columns, labels, draws)
    areas = _areas(said, labels)
    means = np.abs(columns.T @ (labels / len(theirs) - (1.0 - labels) / len(ours))).max(0)
    distances = _distances(table, labels)
    kernel = _discrepancies(scores, labels)
    statistics = np.stack([areas, means, distances.max(0), kernel])
    ranks = _p_values(statistics)
    sums = _p_values(-(np.array(WEIGHTS) @ np.log(ranks))[None])[0]
    together = _p_values(-np.minimum(sums, _p_values(-ranks.min(0)[None])[0])[None])[0]
    adjusted = (distances.max(0)[None] >= distances[:, :1] - 1e-12).mean(1)
    return Permuted(
        p_value=float(together[0]),
        p_values=tuple(ranks[:, 0].tolist()),
        area=float(areas[0]),
        distances=distances[:, 0],
        column_p_values=adjusted,
        scores=said[:, 0],
    )


def normal_scores(table: Table) -> Table:
    """Every column by its ranks as a standard normal one, ties alike; unmoved by units and by outliers.

    Args:
        table: Shape `[N, D]`.

    Returns:
        Shape `[N, D]` (Blom, "Statistical estimates and transformed beta-variables", 1958).
    """
    from scipy.special import ndtri
    from scipy.stats import rankdata

    ranks = rankdata(table, axis=0)
    return np.asarray(ndtri((ranks - 0.375) / (len(table) + 0.25)))


def expanded(scores: Table) -> Table:
    """Normal scores with their squares, tails and products, each column of mean 0 and variance 1 or else 0.

    Args:
        scores: Shape `[N, D]`.

    Returns:
        Shape `[N, P]`.
    """
    centred = scores - scores.mean(0)
    leading = centred
    if centred.shape[1] > PRODUCTS:
        values, vectors = np.linalg.eigh(centred.T @ centred)
        leading = centred @ vectors[:, -PRODUCTS:]
    first, second = np.triu_indices(leading.shape[1], 1 if leading is centred else 0)
    tails = (np.abs(scores) > TAIL).astype(np.float64)
    columns = np.concatenate([scores, scores**2, tails, leading[:, first] * leading[:, second]], 1)
    columns = columns - columns.mean(0)
    spread = columns.std(0)
    return np.asarray(columns / np.where(spread > 1e-9, spread, np.inf))


def _cross_fitted(columns: Table, labels: Table, draws: np.random.Generator) -> Table:
    """Scores of each sample by ridge regression on the other folds, for all permutations at once, `[N, B]`."""
    fold = np.empty(len(columns), dtype=np.int64)
    for side in (0.0, 1.0):
        members = np.flatnonzero(labels[:, 0] == side)
        fold[draws.permutation(members)] = np.arange(len(members)) % FOLDS
    said = np.empty_like(labels)
    for number in range(FOLDS):
        learn, check = columns[fold != number], columns[fold == number]
        wanted = labels[fold != number]
        wanted = wanted - wanted.mean(0)
        strength = PENALTY * len(learn)
        if learn.shape[1] <= len(learn):
            gram = learn.T @ learn + strength * np.eye(learn.shape[1])
            said[fold == number] = check @ np.linalg.solve(gram, learn.T @ wanted)
        else:
            gram = learn @ learn.T + strength * np.eye(len(learn))
            said[fold == number] = check @ (learn.T @ np.linalg.solve(gram, wanted))
    return said


def _areas(said: Table, labels: Table) -> Table:
    """Area under the ROC curve of each column of scores, by the ranks of the second side."""
    ranks = np.empty_like(said)
    np.put_along_axis(ranks, said.argsort(0), np.arange(1.0, len(said) + 1.0)[:, None] * np.ones(said.shape[1]), 0)
    second = labels.sum(0)
    return np.asarray(((ranks * labels).sum(0) - second * (second + 1) / 2) / (second * (len(said) - second)))


def _distances(table: Table, labels: Table) -> Table:
    """Kolmogorov–Smirnov distance of every column under every permutation, `[D, B]`."""
    second = labels.sum(0)
    steps = labels / second - (1.0 - labels) / (len(labels) - second)
    found = np.empty((table.shape[1], labels.shape[1]))
    for number, column in enumerate(table.T):
        order = column.argsort(kind="stable")
        last = np.append(np.diff(column[order]) > 0.0, True)
        found[number] = np.abs(np.cumsum(steps[order], 0)[last]).max(0)
    return found


def _discrepancies(scores: Table, labels: Table) -> Table:
    """Maximum mean discrepancy with a sum of Gaussian kernels under every permutation, `[B]`."""
    squares = (scores**2).sum(1)
    distance = np.maximum(squares[:, None] + squares[None] - 2.0 * scores @ scores.T, 0.0)
    middle = float(np.median(distance[np.triu_indices(len(distance), 1)])) or 1.0
    kernel = sum(np.exp(-distance / (factor**2 * middle)) for factor in BANDWIDTHS)
    second = labels.sum(0)
    steps = labels / second - (1.0 - labels) / (len(labels) - second)
    return np.asarray((steps * (kernel @ steps)).sum(0))


def _p_values(statistics: Table) -> Table:
    """Share of the permutations with a statistic at least as large, the sample itself among them, `[T, B]`."""
    ordered = np.sort(statistics, 1)
    below = np.stack([np.searchsorted(row, mine - 1e-12) for row, mine in zip(ordered, statistics, strict=True)])
    return np.asarray((statistics.shape[1] - below) / statistics.shape[1])


def largest(values: Table, count: int) -> Whole:
    """Places of the largest values, the largest first."""
    return np.asarray(np.argsort(-values, kind="stable")[:count])
