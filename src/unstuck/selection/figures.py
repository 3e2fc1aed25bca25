"""The honesty figures of a choice: from scores to what they are worth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from unstuck.choice import CandidateScore, Honesty
from unstuck.honesty import (
    bias_over_folds,
    bootstrap_of_selection,
    distance_bound,
    leaderboard,
    samples_needed,
)
from unstuck.measure.task import Kind, Task
from unstuck.quantity import Quantity
from unstuck.selection.folds import Rounds
from unstuck.selection.judging import Judged
from unstuck.selection.searching import Point
from unstuck.stats import mean_interval

Array = np.ndarray[Any, Any]


def standard_error_of(judged: Sequence[Judged], folds: Sequence[float], by: str) -> float:
    """Standard error of a candidate's mean: over folds (Breiman et al. 1984), over samples where there is one fold."""
    if len(folds) > 1:
        return float(np.std(folds, ddof=1)) / math.sqrt(len(folds))
    parts = [one.losses if by == "loss" else one.errors for one in judged]
    values = np.concatenate(parts) if parts else np.empty(0)
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def honesty_of(
    matrix: Array,
    scores: Sequence[CandidateScore],
    points: Sequence[Point],
    by: str,
    task: Task | None,
    known: int,
    wished: float,
    rounds: Rounds,
    nested: Array | None,
) -> Honesty:
    """Put the figures together.

    Args:
        matrix: Scores of the candidates judged in full, `[H, N]`; empty where they cannot be compared by sample.
        scores: Of all candidates.
        points: The candidates.
        by: "loss" or "error".
        task: The task, where it is known.
        known: Different candidates tried on these samples so far.
        wished: The distance for which the number of samples is told.
        rounds: The rounds.
        nested: Scores of the nested choice, where it was run.

    Returns:
        The figures.
    """
    unit = by if by == "loss" else "error"
    samples = matrix.shape[1]
    found = bootstrap_of_selection(matrix)
    bounded = by == "error" and task is not None and task.kind is not Kind.VALUES
    whole = [score for score in scores if not score.pruned and not score.problem and len(score.folds) == rounds.count]
    by_fold = np.asarray([score.folds for score in whole]) if len(rounds.splits) > 1 and whole else np.empty((0, 0))
    bound = distance_bound(known, samples) if bounded else math.nan
    means = matrix.mean(1) if matrix.size else np.empty(0)
    lead = float(np.median(means) - means.min()) if len(means) > 1 else math.nan
    outside = None
    if nested is not None:
        interval = mean_interval([float(value) for value in nested])
        outside = Quantity.within("nested cross-validation", float(nested.mean()), interval, unit)
    enough = 0
    if math.isfinite(found.value) and found.value > 0.0:
        enough = math.ceil(samples * (found.value / wished) ** 2)
    return Honesty(
        tried_now=len(points),
        tried_so_far=known,
        samples=samples,
        optimism=Quantity.within("optimism of the best score", found.value, found.interval, unit),
        corrected=Quantity.within("expected on new samples", found.corrected, found.corrected_interval, unit),
        fold_bias=bias_over_folds(by_fold),
        bound=bound,
        lead=lead,
        lead_is_chance=bool(found.value >= lead),
        bound_says_nothing=bool(bound > lead),
        wished=wished,
        samples_needed=samples_needed(known, wished) if bounded else 0,
        samples_enough=enough,
        board=leaderboard(matrix),
        nested=outside,
    )
