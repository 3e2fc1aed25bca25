"""Set-ups that begin at a critical point and train without the noise that would carry them away from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import torch

from unstuck.errors import RemedyError
from unstuck.measure.curvature.critical import Critical
from unstuck.measure.curvature.escape import beginning
from unstuck.measure.curvature.surface import Surface
from unstuck.measure.curvature.training import surface_of
from unstuck.measure.curvature.verdict import Kind
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import OptimizerRecipe, Setup
from unstuck.setup.data import StackedData
from unstuck.setup.randomness import isolated, one_thread

SAMPLES: Final = 2000
"""Training samples at most: each step takes all of them."""

STEEP: Final = 0.5
"""Rate × curvature that such a set-up trains with: a quarter of what gradient descent bears."""

HIGH: Final = 0.3
"""Share of the loss at the start that must be left at the point for it to be worth leaving."""

MOST_STEPS: Final = 300
FEWEST_STEPS: Final = 50
"""Steps for which a start has to hold the run, for it to count as one at rest."""

HELD: Final = 11.0
"""Logarithm of the growth along a descending direction that a saddle found to six digits holds back."""


def start_at_rest(setup: Setup, kind: Kind, go: Callable[[Surface], Critical]) -> Setup:
    """Start every run at a critical point, and train by plain gradient descent on all data at once.

    Args:
        setup: What is trained.
        kind: What the point must be.
        go: Moves the weights to a critical point.

    Returns:
        The changed set-up, with as many steps as before, `MOST_STEPS` at most.

    Raises:
        RemedyError: If the data are not in memory, or no such point was found.
    """
    data = setup.train
    if not isinstance(data, StackedData) or data.size > SAMPLES:
        raise RemedyError("without noise it takes all data at once, and these are too many or read batch by batch")
    try:
        with isolated(setup.seed), one_thread():
            model, _ = setup.build()
            model.train()
            surface = surface_of(setup, model, data.with_batch_size(data.size).head(data.size))
            before = surface.loss()
            found = go(surface)
    except NotMeasurable as reason:
        raise RemedyError(str(reason)) from reason
    point = found.point
    if found.kind is not kind or not point.loss > HIGH * before:
        raise RemedyError(f"no {kind.value} high up was found near the start, but: {found.kind.value}")
    rate = STEEP / point.scale
    steps = min(MOST_STEPS, setup.epochs * (data.batches_per_epoch or 1))
    if point.smallest < 0.0 and kind is Kind.SADDLE:
        holds = HELD / (rate * -point.smallest)
        if holds < FEWEST_STEPS:
            raise RemedyError(f"the saddle near the start is too steep to hold for more than {holds:.0f} steps")
        steps = int(min(steps, holds))
    return replace(
        setup.with_edit(beginning(model, {})),
        optimizer=OptimizerRecipe(lambda parameters: torch.optim.SGD(list(parameters), rate)),
        scheduler=None,
        train=data.with_batch_size(data.size),
        epochs=max(1, steps),
    )
