"""Every regularisation that can be tried on a set-up, the smallest change first, in strengths that fit its run."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, final

from unstuck.edits.augmentation import (
    with_flipped_images,
    with_jitter,
    with_noisy_inputs,
    with_shifted_inputs,
)
from unstuck.edits.averaging import as_committee, with_averaged_weights
from unstuck.edits.dropped_weights import with_dropped_weights
from unstuck.edits.fewer_features import with_fewer_features
from unstuck.edits.mixing import with_mixed_samples
from unstuck.edits.normalisation import insert_normalisation
from unstuck.edits.penalties import with_penalty
from unstuck.edits.regularisation import with_dropout, with_weight_decay
from unstuck.edits.smoothing import with_smoothed_labels
from unstuck.edits.widening import thinned
from unstuck.setup import Setup
from unstuck.setup.randomness import isolated

SHRINKAGE: Final = (3.0, 10.0)
"""Rate × weight decay, summed over the run: by how many factors of e weights without a gradient would shrink."""

PULL: Final = (0.1, 0.3)
"""Norm of a penalty's gradient at the start over that of the loss: beyond a third, little is learnt (measured)."""

DROPPED: Final = (0.5, 0.2)
NOISE: Final = (0.3, 1.0, 0.1)
JITTER: Final = 0.2
SMOOTHED: Final = (0.1, 0.3)
THINNED: Final = (0.25, 0.5, 0.125)
FEATURES: Final = (0.5, 0.25)
LATE: Final = 0.5
MEMBERS: Final = 4


@final
@dataclass(frozen=True, slots=True)
class Regulariser:
    """One change that may be tried.

    Attributes:
        apply: Gives the changed set-up; raises an `UnstuckError` where it does not apply.
        again: Whether another strength of the same kind comes first where time is short.
        cost: In runs of the set-up as given.
    """

    apply: Callable[[Setup], Setup]
    again: bool = False
    cost: int = 1


def regularisers(
    setup: Setup, best_epoch: int, rates: Sequence[float], gradient_norms: Sequence[float], how: str
) -> list[Regulariser]:
    """Everything that may be tried, the smallest change first.

    Args:
        setup: What is trained.
        best_epoch: The epoch to stop at, from 1; 0 where none is known.
        rates: Of the run as given, shape `[T]`.
        gradient_norms: Of its steps, shape `[S]`; may be empty.
        how: How the answers of several networks are joined, as in `as_committee`; "" for no committee.

    Returns:
        The changes, none of them applied yet.
    """
    momentum, weights, count = _read(setup)
    found: list[Regulariser] = []
    if 0 < best_epoch < setup.epochs:
        found.append(Regulariser(partial(_stopped, epochs=best_epoch)))
    found.append(Regulariser(partial(with_averaged_weights, share=LATE)))
    travel = sum(rates) / (1.0 - momentum)
    if travel > 0.0:
        found += _strengths(with_weight_decay, "value", [_rounded(shrinkage / travel) for shrinkage in SHRINKAGE])
    first = [norm for norm in gradient_norms[: max(1, len(gradient_norms) // setup.epochs)] if norm > 0.0]
    if first and weights > 0.0:
        gradient = statistics.median(first)
        absolute, squared = gradient / count**0.5, gradient / weights
        found += _strengths(with_penalty, "squared", [_rounded(pull * squared) for pull in PULL])
        found += _strengths(with_penalty, "absolute", [_rounded(pull * absolute) for pull in PULL])
        half = 0.5 * PULL[0]
        both = partial(with_penalty, absolute=_rounded(half * absolute), squared=_rounded(half * squared))
        found.append(Regulariser(both, again=True))
    found += _strengths(with_smoothed_labels, "share", SMOOTHED)
    found += _strengths(with_dropout, "p", DROPPED)
    found.append(Regulariser(partial(with_dropped_weights, p=DROPPED[0]), again=True))
    found += _strengths(with_noisy_inputs, "share", NOISE)
    found += [Regulariser(with_shifted_inputs), Regulariser(with_flipped_images)]
    found.append(Regulariser(partial(with_jitter, share=JITTER), again=True))
    found += [Regulariser(with_mixed_samples), Regulariser(insert_normalisation)]
    found += _strengths(thinned, "factor", THINNED)
    found += _strengths(with_fewer_features, "share", FEATURES)
    if how:
        found.append(Regulariser(partial(as_committee, members=MEMBERS, how=how), again=True, cost=MEMBERS))
    return found


def _strengths(change: Callable[..., Setup], name: str, values: Sequence[float]) -> list[Regulariser]:
    """One change in several strengths, the first before the others where time is short."""
    return [Regulariser(partial(change, **{name: value}), number > 0) for number, value in enumerate(values)]


def _stopped(setup: Setup, epochs: int) -> Setup:
    return replace(setup, epochs=epochs)


def _rounded(value: float) -> float:
    return float(f"{value:.1g}")


def _read(setup: Setup) -> tuple[float, float, int]:
    """Momentum, by which a steady gradient's steps add up; norm of the weight matrices, and numbers in them."""
    with isolated(setup.seed):
        model, optimizer = setup.build()
    momentum = float(optimizer.param_groups[0].get("momentum", 0.0))
    matrices = [each.detach() for each in model.parameters() if each.requires_grad and each.dim() > 1]
    norm = sum(float(each.double().square().sum()) for each in matrices) ** 0.5
    return momentum if 0.0 <= momentum < 1.0 else 0.0, norm, sum(each.numel() for each in matrices)
