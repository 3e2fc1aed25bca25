"""How much of a gap to the test loss comes from how often each class comes there, the loss of each class being known.

Where only the shares of the classes have changed, inputs of a class look as they did (A. Storkey, "When training and
test sets are different", 2009), so that the loss of each class is what it is on held-out samples, and their mean in the
shares of the test data is the test loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
import torch

from unstuck.loop.evaluate import SAMPLES
from unstuck.measure.features import Table
from unstuck.measure.learners import Whole
from unstuck.measure.preparation import Prepared, Trained
from unstuck.measure.shift.test_data import sample_losses
from unstuck.quantity import Interval
from unstuck.setup import StackedData

RESAMPLES: Final = 400


def told_of_gap(
    prepared: Prepared, trained: Trained, labels_of: Callable[[StackedData], Whole]
) -> tuple[float, float, float]:
    """The part of a run's gap to the test loss that the class shares make.

    Args:
        prepared: The set-up with its splits.
        trained: The run as given.
        labels_of: Gives the classes of a split.

    Returns:
        Share of the gap, and both ends of its 95 % interval; NaN where splits are not in memory or have no labels.
    """
    held_out, test = prepared.held_out, prepared.setup.test
    if not (isinstance(held_out, StackedData) and isinstance(test, StackedData)):
        return math.nan, math.nan, math.nan
    sides = []
    for data in (held_out, test):
        few = data.subset(torch.arange(0, data.size, -(-data.size // SAMPLES)))
        sides.append((sample_losses(prepared.setup, trained, few).numpy(), labels_of(few)))
    value, interval = told_by_shares(*sides[0], *sides[1])
    return value, interval.low, interval.high


def told_by_shares(losses: Table, labels: Whole, test_losses: Table, test_labels: Whole) -> tuple[float, Interval]:
    """The part of the gap that is there once held-out samples are weighted to the class shares of the test data.

    Args:
        losses: Of held-out samples, `[N]`.
        labels: Their classes.
        test_losses: Of test samples, `[M]`.
        test_labels: Their classes. A class that no held-out sample has is taken to have the mean loss.

    Returns:
        Share of (test − held-out loss), and its 95 % interval, by samples drawn with replacement on either side; NaN
        where there is no gap.
    """
    draws = np.random.default_rng(0)
    found = []
    for _ in range(RESAMPLES):
        own, theirs = (
            draws.integers(len(losses), size=len(losses)),
            draws.integers(len(test_losses), size=len(test_losses)),
        )
        found.append(_part(losses[own], labels[own], test_losses[theirs], test_labels[theirs]))
    known = [part for part in found if math.isfinite(part)]
    value = _part(losses, labels, test_losses, test_labels)
    if not (math.isfinite(value) and known):
        return math.nan, Interval(math.nan, math.nan)
    low, high = np.quantile(known, [0.025, 0.975])
    return value, Interval(float(low), float(high))


def _part(losses: Table, labels: Whole, test_losses: Table, test_labels: Whole) -> float:
    gap = float(test_losses.mean() - losses.mean())
    if not (math.isfinite(gap) and gap > 0.0):
        return math.nan
    classes = int(max(labels.max(), test_labels.max())) + 1
    count = np.bincount(labels, minlength=classes)
    sums = np.bincount(labels, weights=losses, minlength=classes)
    by_class = np.where(count > 0, sums / np.maximum(count, 1), losses.mean())
    shares = np.bincount(test_labels, minlength=classes) / len(test_labels)
    return float((shares * by_class).sum() - losses.mean()) / gap
