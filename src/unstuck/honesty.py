"""How far the score of a chosen candidate can be believed: bounds, and estimates from the choice itself. Pure.

Scores are errors: lower is better. `[H, N]` is candidates by samples, each sample scored by a model that never saw it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from scipy.special import stdtrit

from unstuck.quantity import Interval
from unstuck.stats import UNBOUNDED

Array = np.ndarray[Any, Any]

RESAMPLES: Final = 999
CONFIDENCE: Final = 0.95
PUBLIC: Final = 0.3
"""Share of the samples on the public leaderboard, as on most of Kaggle's (Roelofs et al. 2019 list them)."""

LEADERBOARDS: Final = 400
FEWEST: Final = 4
MOST_HELD: Final = 4_000_000
"""Numbers held in memory at once."""


def chance_of_misleading(candidates: int, samples: int, distance: float) -> float:
    """Bound on the probability that some candidate's error on the samples is further than `distance` from its true one.

    2·|H|·exp(−2nε²): Hoeffding, "Probability inequalities for sums of bounded random variables", JASA 58 (1963), and
    the union bound over the candidates. For errors between 0 and 1.

    Args:
        candidates: Number of candidates |H|.
        samples: Number of samples n that they were judged on.
        distance: ε, in the unit of the error.

    Returns:
        The bound; above 1 it says nothing.
    """
    exponent = math.log(2.0 * max(1, candidates)) - 2.0 * samples * distance * distance
    return math.exp(min(exponent, 700.0))


def distance_bound(candidates: int, samples: int, confidence: float = CONFIDENCE) -> float:
    """The ε that the same bound allows: √(ln(2·|H| / (1 − confidence)) / 2n).

    Args:
        candidates: Number of candidates.
        samples: Samples that they were judged on.
        confidence: Probability that no candidate is further off.

    Returns:
        The distance; infinite without samples.
    """
    if samples < 1:
        return math.inf
    return math.sqrt(math.log(2.0 * max(1, candidates) / (1.0 - confidence)) / (2.0 * samples))


def samples_needed(candidates: int, distance: float, confidence: float = CONFIDENCE) -> int:
    """How many validation samples keep every candidate within a distance: ln(2·|H| / (1 − confidence)) / 2ε².

    Args:
        candidates: Number of candidates.
        distance: The gap that is wished for, above 0.
        confidence: Probability that no candidate is further off.

    Returns:
        Number of samples.

    Raises:
        ValueError: If the distance is not above 0.
    """
    if not distance > 0.0:
        raise ValueError(f"`distance` must be above 0; got {distance}")
    return math.ceil(math.log(2.0 * max(1, candidates) / (1.0 - confidence)) / (2.0 * distance * distance))


@final
@dataclass(frozen=True, slots=True)
class Optimism:
    """By how much the score of the best candidate flatters it.

    Attributes:
        apparent: Error of the chosen candidate, as it was chosen by.
        corrected: What it is expected to be on new samples.
        corrected_interval: Of `corrected`.
        value: `corrected − apparent`.
        interval: Of `value`.
    """

    apparent: float
    corrected: float
    corrected_interval: Interval
    value: float
    interval: Interval


def bootstrap_of_selection(errors: Array, seed: int = 0) -> Optimism:
    """Choose again on samples drawn with replacement, and score each choice on the samples that were not drawn.

    Tsamardinos, Greasidou & Borboudakis, "Bootstrapping the out-of-sample predictions for efficient and accurate
    cross-validation", Machine Learning 107 (2018). The interval is that of a mean of N scores (Student 1908) about the
    corrected error: `python -m bench.selection` measures how often it holds the truth.

    Args:
        errors: Each candidate's error on each sample, `[H, N]`.
        seed: Seeds the draws.

    Returns:
        The optimism; NaN where there are too few samples or a score is not finite.
    """
    count = errors.shape[1] if errors.ndim == 2 else 0
    if count < FEWEST or not errors.shape[0] or not np.isfinite(errors).all():
        return Optimism(math.nan, math.nan, UNBOUNDED, math.nan, UNBOUNDED)
    means = errors.mean(1)
    best = int(means.argmin())
    apparent, generator = float(means[best]), np.random.default_rng(seed)
    outside, picked = list[Array](), list[Array]()
    at_once = max(1, MOST_HELD // (count + len(errors)))
    for start in range(0, RESAMPLES, at_once):
        drawn = generator.integers(count, size=(min(at_once, RESAMPLES - start), count))
        times = np.stack([np.bincount(row, minlength=count) for row in drawn])
        rest = (times == 0).astype(float)
        counted = rest.sum(1) > 0
        times, rest = times[counted], rest[counted]
        chosen = (errors @ times.T).argmin(0)
        picked.append(chosen)
        outside.append((errors[chosen] * rest).sum(1) / rest.sum(1))
    corrected = float(np.concatenate(outside).mean())
    # The best was drawn low, and the variance of a share with it: that of what is expected counts.
    variances = errors.var(1, ddof=1)
    shares = bool(((errors == 0.0) | (errors == 1.0)).all())
    least = max(corrected, 1.0 / count)
    expected = least * (1.0 - min(least, 1.0)) if shares else float(variances[np.concatenate(picked)].mean())
    deviation = math.sqrt(max(float(variances[best]), expected) / count)
    half = float(stdtrit(count - 1, (1.0 + CONFIDENCE) / 2.0)) * deviation
    return Optimism(
        apparent,
        corrected,
        Interval(corrected - half, corrected + half),
        corrected - apparent,
        Interval(corrected - half - apparent, corrected + half - apparent),
    )


def bias_over_folds(errors: Array) -> float:
    """By how much the minimum over candidates of a cross-validated error is too low.

    Tibshirani & Tibshirani, "A bias correction for the minimum error rate in cross-validation", Annals of Applied
    Statistics 3 (2009): the mean over folds of the chosen candidate's error above that of the fold's own best.

    Args:
        errors: Mean error of each candidate on each fold, `[H, K]`.

    Returns:
        The bias; NaN without candidates or folds.
    """
    if errors.ndim != 2 or not errors.size or not np.isfinite(errors).all():
        return math.nan
    best = int(errors.mean(1).argmin())
    return float((errors[best] - errors.min(0)).mean())


def one_standard_error(means: Array, deviation: float, sizes: Array) -> int:
    """The smallest candidate that is within one standard error of the best.

    Breiman, Friedman, Olshen & Stone, "Classification and regression trees", 1984, section 3.4.3.

    Args:
        means: Error of each candidate, `[H]`; those that are not finite are never chosen.
        deviation: Standard error of the best candidate's mean; taken for 0 where not finite.
        sizes: How large or free each candidate is, `[H]`; of equally small ones the better is taken.

    Returns:
        Its index.

    Raises:
        ValueError: If no mean is finite.
    """
    finite = np.isfinite(means)
    if not finite.any():
        raise ValueError("no candidate has a finite error")
    limit = means[finite].min() + (deviation if math.isfinite(deviation) else 0.0)
    near = np.flatnonzero(finite & (means <= limit))
    return int(min(near, key=lambda place: (sizes[place], means[place])))


@final
@dataclass(frozen=True, slots=True)
class Leaderboard:
    """What a public leaderboard on a part of the samples would have told.

    Attributes:
        public_share: Share of the samples on it.
        public: Error of its winner there, on average.
        private: Error of the same candidate on the other samples, on average.
        same_winner: How often it wins on the other samples too.
        private_place: Its place there, on average; 1 is the first.
    """

    public_share: float
    public: float
    private: float
    same_winner: float
    private_place: float


def leaderboard(errors: Array, share: float = PUBLIC, seed: int = 0) -> Leaderboard:
    """Split the samples into a public and a private part, again and again, and follow the public winner.

    Args:
        errors: Each candidate's error on each sample, `[H, N]`.
        share: Of the samples in the public part.
        seed: Seeds the splits.

    Returns:
        Averages over the splits; NaN where there are fewer than two samples on a side.
    """
    candidates, count = errors.shape
    public = round(share * count)
    if not candidates or min(public, count - public) < 2 or not np.isfinite(errors).all():
        return Leaderboard(share, math.nan, math.nan, math.nan, math.nan)
    generator, rows = np.random.default_rng(seed), list[tuple[float, float, float, float]]()
    for _ in range(LEADERBOARDS):
        order = generator.permutation(count)
        shown, hidden = errors[:, order[:public]].mean(1), errors[:, order[public:]].mean(1)
        winner = int(shown.argmin())
        place = 1.0 + float((hidden < hidden[winner]).sum())
        rows.append((float(shown[winner]), float(hidden[winner]), float(place == 1.0), place))
    return Leaderboard(share, *(float(value) for value in np.mean(rows, axis=0)))
