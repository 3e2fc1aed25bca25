"""The bias–complexity curve: training and held-out loss against the size of the hidden layers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Final, final

from torch import nn

from unstuck.edits.widening import thinned, widened
from unstuck.errors import UnstuckError
from unstuck.loop import fit
from unstuck.loop.evaluate import evaluate
from unstuck.measure.comparison import LARGE, Comparison
from unstuck.measure.gap import gap
from unstuck.measure.preparation import Allowance, Prepared, Trained
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import Setup

FACTORS: Final = (0.125, 0.25, 0.5, 2.0, 4.0)
"""Of the widths of all hidden layers, besides the widths as given."""


@final
@dataclass(frozen=True, slots=True)
class Capacity:
    """One network of the curve.

    Attributes:
        factor: Of the widths as given.
        parameters: Trainable numbers.
        training: Training loss at the end of the run, in evaluation mode.
        held_out: Held-out loss likewise.
        standard_error: Of `held_out`.
    """

    factor: float
    parameters: int
    training: float
    held_out: float
    standard_error: float


@final
@dataclass(frozen=True, slots=True)
class CapacityCurve:
    """The same set-up with narrower and wider hidden layers, one run each.

    S. Geman, E. Bienenstock, R. Doursat, "Neural networks and the bias/variance dilemma", 1992: with too few units both
    losses are large (bias); with more, the training loss goes on falling while the held-out loss may rise (variance),
    or fall a second time (M. Belkin et al., "Reconciling modern machine-learning practice and the classical
    bias–variance trade-off", 2019).

    Attributes:
        points: Networks that could be trained, the narrowest first; shape `[K]`.
    """

    cost: ClassVar[float] = 6.0

    points: tuple[Capacity, ...]

    @property
    def best(self) -> Capacity:
        """The network with the lowest held-out loss."""
        return min(self.points, key=lambda point: point.held_out if math.isfinite(point.held_out) else math.inf)

    @classmethod
    def measure(
        cls, prepared: Prepared, trained: Trained, allowance: Allowance, comparison: Comparison
    ) -> CapacityCurve:
        """Train the narrower and the wider networks, where a gap leaves another width something to close.

        Args:
            prepared: The set-up.
            trained: The run as given.
            allowance: How long all runs together may take.
            comparison: Tells whether there is a gap.

        Returns:
            The curve.

        Raises:
            NotMeasurable: If there is no gap, no hidden layer is free to change, no loss, or too little time.
        """
        if comparison.training_is_large or not gap(comparison, "held_out", "training").value >= LARGE.value:
            raise NotMeasurable("there is no gap to held-out samples that another width would close")
        return capacity_curve(prepared, trained.run.model, allowance.run_seconds)


def capacity_curve(prepared: Prepared, model: nn.Module, seconds: float) -> CapacityCurve:
    """Measure the curve.

    Args:
        prepared: The set-up.
        model: As the run as given has left it.
        seconds: How long all runs together may take.

    Returns:
        The curve.

    Raises:
        NotMeasurable: If no hidden layer is free to change, there is no loss, or time is too short.
    """
    setup = prepared.setup
    if setup.loss is None:
        raise NotMeasurable("the loss is inside train_step; give `loss` as well")
    begun = time.monotonic()
    found = [_point(prepared, setup, 1.0, model)]
    for factor in sorted(FACTORS, key=lambda factor: abs(math.log(factor))):
        left = seconds - (time.monotonic() - begun)
        if left <= 0.0:
            break
        try:
            changed = _resized(factor)(setup)
            run = fit(changed, seconds=left, validate=False)
        except UnstuckError:
            continue  # a layer of one unit cannot be halved; another factor may fit
        if run.record.stopped != "time":
            found.append(_point(prepared, changed, factor, run.model))
    if len(found) < 2:
        raise NotMeasurable("no hidden layer is free to be narrower or wider, or the time was too short")
    return CapacityCurve(tuple(sorted(found, key=lambda point: point.factor)))


def _resized(factor: float) -> Callable[[Setup], Setup]:
    return partial(widened if factor > 1.0 else thinned, factor=factor)


def _point(prepared: Prepared, setup: Setup, factor: float, model: nn.Module) -> Capacity:
    training, held_out = evaluate(setup, model, setup.train), evaluate(setup, model, prepared.held_out)
    count = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    return Capacity(factor, count, training.loss, held_out.loss, held_out.standard_error)
