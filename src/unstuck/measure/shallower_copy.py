"""The same network with fewer of its equal layers, trained as given."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

from unstuck.edits.skipping import halve_depth
from unstuck.errors import RemedyError
from unstuck.loop import fit
from unstuck.measure.comparison import LARGE, Comparison
from unstuck.measure.preparation import Allowance, Prepared, Trained
from unstuck.measure.protocol import NotMeasurable, Unmeasured
from unstuck.measure.scores import scores_of
from unstuck.measure.task import Task
from unstuck.setup import Setup

HALVINGS: Final = 3
"""How often the depth is halved, which all takes less than one run. A network that cannot be halved as often is not
deep: plain ones of eighteen layers still train (He et al. 2016, table 2, where thirty-four are worse)."""


@final
@dataclass(frozen=True, slots=True)
class ShallowerCopy:
    """How low the training loss of a shallower version ends.

    Attributes:
        gain: Share of the way down from the best constant, or from the start where the run as given is above it, to the
            lower of both training losses that the shallower version is ahead of the given one; below 0 behind.
        given: Training loss of the run as given.
        shallower: Training loss of the shallower version.
        halvings: How often every second layer of equal width was left out of it.
    """

    cost: ClassVar[float] = 4.0

    gain: float
    given: float
    shallower: float
    halvings: int

    @classmethod
    def measure(
        cls,
        prepared: Prepared,
        trained: Trained,
        task: Task | Unmeasured,
        comparison: Comparison,
        allowance: Allowance,
    ) -> ShallowerCopy:
        """Train it, from the same seed and as long, where the training loss is large: the deepest that is low enough.

        Args:
            prepared: The set-up.
            trained: The run as given.
            task: The task, where it is known.
            comparison: Where the run as given stands.
            allowance: How long a run may take.

        Returns:
            The comparison of both.

        Raises:
            NotMeasurable: If the training loss is not large, or the network is not deep.
        """
        if not comparison.training_is_large:
            raise NotMeasurable(f"the training loss is not large: {comparison.shortfall:.0%} of the span is open")
        record = trained.run.record
        steps = max(1, len(record.losses)) if record.stopped == "time" else None
        known = None if isinstance(task, Unmeasured) else task
        given, tried = comparison.given.training.loss, list[ShallowerCopy]()
        for halvings, setup in enumerate(_shallower(prepared.setup), start=1):
            run = fit(setup, seconds=allowance.run_seconds, steps=steps, validate=False)
            scores = scores_of(prepared, known, setup, run.model)
            gain = _ahead(scores.training.loss, given, comparison.constant_training)
            tried.append(cls(gain, given, scores.training.loss, halvings))
            if comparison.shortfall_of(scores, by_loss=True) < LARGE.value:
                break
        return min(tried, key=lambda copy: (not math.isfinite(copy.shallower), copy.shallower))


def _shallower(setup: Setup) -> list[Setup]:
    found = [setup]
    try:
        for _ in range(HALVINGS):
            found.append(halve_depth(found[-1]))
    except RemedyError as reason:
        raise NotMeasurable(f"it is not deep: {reason}") from reason
    return found[1:]


def _ahead(shallower: float, given: float, constant: float) -> float:
    """How far one loss is ahead of another, as a share of the way down from the constant to the lower of both."""
    top = max(constant, min(given, shallower))
    span = top - min(given, shallower)
    return (min(given, top) - min(shallower, top)) / span if span > 0.0 else 0.0
