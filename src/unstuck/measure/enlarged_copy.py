"""A larger version of the user's own model, robustly trained: does more capacity go lower?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

from unstuck.edits.widening import widened
from unstuck.errors import RemedyError
from unstuck.measure.preparation import Prepared, Trained
from unstuck.measure.protocol import NotMeasurable, Unmeasured
from unstuck.measure.robust_copy import race
from unstuck.measure.scores import Scores
from unstuck.measure.task import Task

FACTOR: Final = 8
"""How much wider every hidden layer is made; enough that a two-unit bottleneck becomes a usual layer."""


@final
@dataclass(frozen=True, slots=True)
class EnlargedCopy:
    """The user's model with every hidden layer widened.

    Attributes:
        scores: Its scores at the epoch with the lowest held-out loss.
        factor: How much wider.
        recipe: How it was trained.
    """

    cost: ClassVar[float] = 3.0

    scores: Scores
    factor: int
    recipe: str

    @classmethod
    def measure(cls, prepared: Prepared, trained: Trained, task: Task | Unmeasured) -> EnlargedCopy:
        """Widen, and race the recipes.

        Returns:
            The best copy.

        Raises:
            NotMeasurable: If the structure could not be enlarged.
        """
        known = None if isinstance(task, Unmeasured) else task
        try:
            setup = widened(prepared.setup, FACTOR)
        except RemedyError as error:
            raise NotMeasurable(str(error)) from error
        copy = race(prepared, setup, known, len(trained.run.losses), trained.run.record.seconds)
        return cls(copy.scores, FACTOR, copy.recipe)
