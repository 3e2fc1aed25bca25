"""How far a run falls short of something that it is compared with: on the loss and on the task's error, with noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

from unstuck.measure.scores import Scores, SplitScore

FURTHEST: Final = 2.0
"""Shortfalls are capped here: a run that has diverged is as bad at twice the span as at a thousand times."""


@final
@dataclass(frozen=True, slots=True)
class Comparator:
    """Something that the run is compared with.

    Attributes:
        name: Such as "the same model, robustly trained".
        kind: SAME_MODEL, OTHER_LEARNER or LARGER_MODEL.
        scale: "loss" or "error": what the four numbers below are.
        training: Its number on the training split.
        held_out: Its number on the held-out part.
        shortfall: Share of the way from the best constant to this comparator that the run as given falls short
            of, the smaller of the two splits.
        low: Lower end of the interval of `shortfall`.
        high: Upper end.
    """

    name: str
    kind: str
    scale: str
    training: float
    held_out: float
    shortfall: float
    low: float
    high: float


def shortfall(given: float, reached: float, constant: float) -> float:
    """Share of the way from `constant` down to `reached` that `given` falls short of.

    Args:
        given: Loss of the run as given.
        reached: Loss of the comparator.
        constant: Loss of the best constant prediction.

    Returns:
        0 where `given` is as low as `reached`; 1 where it is no better than the constant; capped at 2.
    """
    span = constant - reached
    if not math.isfinite(given):
        given = constant + max(span, 0.0)
    if not 1e-12 < span < math.inf or not math.isfinite(reached):
        return 0.0
    return min(FURTHEST, (given - reached) / span)


def comparator_on_loss(
    given: Scores,
    constants: tuple[float, float],
    name: str,
    kind: str,
    training: float,
    held_out: float,
    standard_error: float | None,
) -> Comparator:
    """Compare by the loss.

    Args:
        given: Scores of the run.
        constants: Loss of the best constant prediction on the training split and on the held-out part.
        name: Of what it is compared with.
        kind: Its kind.
        training: Its loss on the training split.
        held_out: Its loss on the held-out part.
        standard_error: Of `held_out`, where it is known.

    Returns:
        The comparator.
    """
    constant_training, constant_held_out = constants
    on_training = shortfall(given.training.loss, training, constant_training)
    on_held_out = shortfall(given.held_out.loss, held_out, constant_held_out)
    span = max(constant_held_out - held_out, 1e-12)
    # Worse than a constant on its own training data is a failure, however much its loss scatters over batches.
    scatter = 0.0 if given.training.loss > constant_training else or_zero(given.held_out.standard_error)
    noise = math.hypot(scatter, or_zero(standard_error)) / span
    if min(on_training, on_held_out) >= FURTHEST:  # capped; the noise is to be held against the distance itself
        noise = min(noise, FURTHEST * noise * span / max(given.held_out.loss - held_out, 1e-12))
    return _comparator(name, kind, "loss", training, held_out, min(on_training, on_held_out), noise)


def comparator_on_error(
    given: Scores, name: str, kind: str, training: float | None, held_out: float | None
) -> Comparator | None:
    """Compare by the task's error, as a share of that of the best constant prediction.

    Args:
        given: Scores of the run.
        name: Of what it is compared with.
        kind: Its kind.
        training: Its error on the training split, where it is known.
        held_out: Its error on the held-out part, where it is known.

    Returns:
        The comparator; None where an error is not known.
    """
    if training is None or held_out is None or math.isnan(training + held_out):
        return None
    if math.isnan(given.training.error + given.held_out.error):
        return None
    least = min(shortfall(given.training.error, training, 1.0), shortfall(given.held_out.error, held_out, 1.0))
    # The binomial standard error of a difference of two shares on the same samples, at its widest.
    noise = math.sqrt(2.0 * _spread(given.held_out, held_out) / max(1, given.held_out.samples))
    return _comparator(name, kind, "error", training, held_out, least, noise)


def _spread(given: SplitScore, reached: float) -> float:
    share = min(1.0, max(given.error, reached, 1.0 / max(1, given.samples)))
    return share * (1.0 - share) if share < 0.5 else 0.25


def _comparator(
    name: str, kind: str, scale: str, training: float, held_out: float, least: float, noise: float
) -> Comparator:
    # Against what is no better than a constant the noise has no scale; beyond the cap no end of an interval says more.
    low, high = max(least - 2.0 * noise, min(least, -FURTHEST)), min(least + 2.0 * noise, FURTHEST)
    return Comparator(name, kind, scale, training, held_out, least, low, high)


def or_zero(value: float | None) -> float:
    """A number; 0 where it is not known."""
    return 0.0 if value is None or math.isnan(value) else value
