"""The standings: what each candidate scored over all folds, and which of them is chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from unstuck.choice import CandidateScore
from unstuck.errors import SetupError
from unstuck.honesty import one_standard_error
from unstuck.selection.cross_validation import Field, mean_of
from unstuck.selection.figures import standard_error_of
from unstuck.selection.judging import Judged
from unstuck.selection.searching import Point
from unstuck.setup.randomness import isolated

Array = np.ndarray[Any, Any]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Standings:
    """What each candidate scored, and which is chosen.

    Attributes:
        chosen: Place of the chosen candidate.
        best: Place of the one with the lowest mean.
        scores: Of all candidates, in the order in which they were tried.
        means: What decides, `[C]`; NaN for those given up and those that failed.
        matrix: Scores by sample of those judged in full, `[H, N]`; empty where they cannot be compared by sample.
    """

    chosen: int
    best: int
    scores: tuple[CandidateScore, ...]
    means: Array
    matrix: Array

    def ranked(self) -> tuple[CandidateScore, ...]:
        """The scores, the lowest mean first, those without one last."""
        return tuple(self.scores[place] for place in np.argsort(np.where(np.isfinite(self.means), self.means, np.inf)))


def standings_of(field: Field, by: str, sparing: bool) -> Standings:
    """Score the candidates and choose one.

    Args:
        field: The candidates with what came of them.
        by: "loss" or "error".
        sparing: Whether the smallest within one standard error of the best is chosen, not the best.

    Returns:
        The standings.

    Raises:
        SetupError: If no candidate ended in a finite score.
    """
    scores = tuple(
        _score(point, judged, pruned, by)
        for point, judged, pruned in zip(field.points, field.judged, field.pruned, strict=True)
    )
    means = np.asarray([_mean_in_full(score, by) for score in scores])
    if not np.isfinite(means).any():
        raise SetupError("At least one candidate must end in a finite score", "none", "Lower the rates, say.")
    best = int(np.nanargmin(means))
    chosen = best
    if sparing:
        sizes = np.asarray([score.parameters for score in scores], dtype=float)
        chosen = one_standard_error(means, scores[best].standard_error, sizes)
    rows = [
        np.concatenate([one.losses if by == "loss" else one.errors for one in judged])
        for judged, mean in zip(field.judged, means, strict=True)
        if math.isfinite(mean)
    ]
    alike = len({len(row) for row in rows}) == 1
    return Standings(chosen, best, scores, means, np.stack(rows) if alike else np.empty((0, 0)))


def _mean_in_full(score: CandidateScore, by: str) -> float:
    """A candidate's mean; NaN where it was not judged in all folds."""
    if score.pruned or score.problem:
        return math.nan
    return score.loss if by == "loss" else score.error


def _score(point: Point, judged: Sequence[Judged], pruned: bool, by: str) -> CandidateScore:
    problem = point.problem or next((one.problem for one in judged if one.problem), "")
    folds = tuple(mean_of([one], by) for one in judged if not one.problem)
    return CandidateScore(
        name=point.name,
        hyper={key: value if isinstance(value, (bool, int, float, str)) else repr(value)
               for key, value in point.hyper.items()},
        loss=math.nan if problem else mean_of(judged, "loss"),
        error=math.nan if problem else mean_of(judged, "error"),
        standard_error=standard_error_of(judged, folds, by),
        folds=folds,
        parameters=_parameters(point),
        pruned=pruned,
        problem=problem,
        training_curve=_mean_curve([one.training_curve for one in judged]),
        validation_curve=_mean_curve([one.validation_curve for one in judged]),
    )  # fmt: skip


def _mean_curve(curves: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """Mean over the folds, as long as the shortest."""
    shortest = min((len(curve) for curve in curves if curve), default=0)
    return tuple(float(np.mean([curve[place] for curve in curves if curve])) for place in range(shortest))


def _parameters(point: Point) -> int:
    if point.setup is None:
        return 0
    with isolated(point.setup.seed):
        model, _ = point.setup.build()
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
