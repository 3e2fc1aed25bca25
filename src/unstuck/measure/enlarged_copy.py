"""A larger version of the user's own model, robustly trained: does more capacity go lower?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

from unstuck.edits.deepening import with_blocks
from unstuck.edits.widening import widened
from unstuck.errors import RemedyError
from unstuck.measure.preparation import Prepared, Trained
from unstuck.measure.protocol import NotMeasurable, Unmeasured
from unstuck.measure.robust_copy import race
from unstuck.measure.scores import Scores
from unstuck.measure.task import Task

FACTOR: Final = 8
"""How much wider every hidden layer is made; enough that a two-unit bottleneck becomes a usual layer."""

UNITS: Final = 64
"""Units of the hidden layers that are put into a model without any that could be widened."""


@final
@dataclass(frozen=True, slots=True)
class EnlargedCopy:
    """The user's model with every hidden layer widened, or with hidden layers where it has none that can be.

    Attributes:
        scores: Its scores at the epoch with the lowest held-out loss.
        factor: How much wider; 1 where blocks were put in instead.
        recipe: How it was trained.
        how: How it was enlarged, as a clause.
        complete: Whether it took as many steps as the run as given at least.
    """

    cost: ClassVar[float] = 3.0

    scores: Scores
    factor: int
    recipe: str
    how: str = ""
    complete: bool = True

    @classmethod
    def measure(cls, prepared: Prepared, trained: Trained, task: Task | Unmeasured) -> EnlargedCopy:
        """Widen, and race the recipes.

        Returns:
            The best copy.

        Raises:
            NotMeasurable: If the structure could not be enlarged.
        """
        known = None if isinstance(task, Unmeasured) else task
        factor, how = FACTOR, f"hidden layers {FACTOR} times as wide"
        try:
            setup = widened(prepared.setup, factor)
        except RemedyError as narrow:
            factor, how = 1, f"a residual block of {UNITS} units in front of each linear layer"
            try:
                setup = with_blocks(prepared.setup, UNITS)
            except RemedyError as error:
                raise NotMeasurable(f"{narrow}; {error}") from error
        copy = race(prepared, setup, known, trained.run)
        return cls(copy.scores, factor, copy.recipe, how, copy.complete)
