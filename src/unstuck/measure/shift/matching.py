"""Telling test inputs from training inputs once the classes come in the same shares on both sides."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from torch import Tensor

from unstuck.loop.evaluate import SAMPLES
from unstuck.measure.features import Table, inputs_of
from unstuck.measure.learners import Whole
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.shift.drift import SIDE
from unstuck.measure.shift.permutation import compare
from unstuck.measure.shift.ratio import drawn
from unstuck.measure.two_sample import comparable
from unstuck.setup import Data, Setup

FEWEST: Final = 30
"""Samples of a side from which they are compared."""


def in_test_shares(setup: Setup, other: Data, labels: Whole, weights: Table) -> tuple[float, float]:
    """Compare the inputs, the training samples drawn in the shares of the test data.

    Args:
        setup: Has the training samples.
        other: The test data.
        labels: Classes of the training samples, shape `[N]`.
        weights: Share of each class in the test data over that in training, shape `[C]`.

    Returns:
        p-value of inputs this different by chance, and the area under the ROC curve; NaN where too few are left.
    """
    inputs = inputs_of(setup.train.head(SAMPLES))
    if len(labels) != len(inputs[0]):
        return math.nan, math.nan
    own = weights[labels]
    if not own.sum() > 0.0:
        return math.nan, math.nan
    # No more than are there effectively: a row that comes twice would give itself away.
    count = int(min(SIDE, 0.7 * len(own) * own.mean() / own.max()))
    if count < FEWEST:
        return math.nan, math.nan
    return _told_apart(_at(inputs, np.unique(drawn(own, count, 0))), inputs_of(other.head(SIDE)))


def in_equal_shares(setup: Setup, other: Data, ours: Whole, theirs: Whole) -> tuple[float, float]:
    """Compare as many samples of each class on either side as the rarer side has.

    Where a class has all but gone from training, drawing training samples in the test shares leaves next to none;
    what the two sides have in common can still be compared (Li, Morgan & Zaslavsky, "Balancing covariates via
    propensity score weighting", 2018).

    Args:
        setup: Has the training samples.
        other: The test data.
        ours: Classes of the training samples, shape `[N]`.
        theirs: Classes of the test samples, shape `[M]`.

    Returns:
        As `in_test_shares`.
    """
    own, asked = inputs_of(setup.train.head(SAMPLES)), inputs_of(other.head(SAMPLES))
    if len(ours) != len(own[0]) or len(theirs) != len(asked[0]):
        return math.nan, math.nan
    draws = np.random.default_rng(0)
    rows, their_rows = list[Whole](), list[Whole]()
    for number in np.intersect1d(ours, theirs):
        side, their_side = np.flatnonzero(ours == number), np.flatnonzero(theirs == number)
        least = min(len(side), len(their_side))
        rows.append(draws.permutation(side)[:least])
        their_rows.append(draws.permutation(their_side)[:least])
    if sum(map(len, rows)) < FEWEST:
        return math.nan, math.nan
    order = draws.permutation(sum(map(len, rows)))[:SIDE]
    return _told_apart(_at(own, np.concatenate(rows)[order]), _at(asked, np.concatenate(their_rows)[order]))


def _at(inputs: list[Tensor], rows: Whole) -> list[Tensor]:
    return [part[torch.as_tensor(rows)] for part in inputs]


def _told_apart(ours: list[Tensor], theirs: list[Tensor]) -> tuple[float, float]:
    try:
        found = compare(*comparable(ours, theirs, "test"))
    except NotMeasurable:
        return math.nan, math.nan
    return found.p_value, found.area
