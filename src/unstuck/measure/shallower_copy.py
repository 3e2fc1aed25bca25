"""The same network with half its equal layers, trained as given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from unstuck.edits.skipping import halve_depth
from unstuck.errors import RemedyError
from unstuck.loop import fit
from unstuck.measure.comparison import Comparison
from unstuck.measure.preparation import Prepared, Trained
from unstuck.measure.protocol import NotMeasurable, Unmeasured
from unstuck.measure.scores import scores_of
from unstuck.measure.task import Task

LONGER = 2.0
"""Times the run as given that the shallower one may take; it has less to compute."""


@final
@dataclass(frozen=True, slots=True)
class ShallowerCopy:
    """How low the training loss of a shallower version ends.

    Attributes:
        gain: Share of the way down from the best constant, or from the start where the run as given is above it, to the
            lower of both training losses that the shallower version is ahead of the given one; below 0 behind.
        given: Training loss of the run as given.
        shallower: Training loss of the version with every second layer of equal width left out.
    """

    cost: ClassVar[float] = 5.0

    gain: float
    given: float
    shallower: float

    @classmethod
    def measure(
        cls, prepared: Prepared, trained: Trained, task: Task | Unmeasured, comparison: Comparison
    ) -> ShallowerCopy:
        """Train it, from the same seed and as long, where the training loss is large.

        Args:
            prepared: The set-up.
            trained: The run as given.
            task: The task, where it is known.
            comparison: Where the run as given stands.

        Returns:
            The comparison of both.

        Raises:
            NotMeasurable: If the training loss is not large, or the network has no layers to leave out.
        """
        if not comparison.training_is_large:
            raise NotMeasurable(f"the training loss is not large: {comparison.shortfall:.0%} of the span is open")
        try:
            setup = halve_depth(prepared.setup)
        except RemedyError as reason:
            raise NotMeasurable(str(reason)) from reason
        record = trained.run.record
        run = fit(setup, seconds=LONGER * record.seconds, steps=max(1, len(record.losses)), validate=False)
        known = None if isinstance(task, Unmeasured) else task
        shallower = scores_of(prepared, known, setup, run.model).training.loss
        given = comparison.given.training.loss
        top = max(comparison.constant_training, min(given, shallower))
        span = top - min(given, shallower)
        gain = (min(given, top) - min(shallower, top)) / span if span > 0.0 else 0.0
        return cls(gain, given, shallower)
