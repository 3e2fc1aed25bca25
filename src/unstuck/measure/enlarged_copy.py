"""A larger version of the user's own model, robustly trained: does more capacity go lower?"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar, Final, final

from unstuck.edits.deepening import with_blocks
from unstuck.edits.widening import widened
from unstuck.errors import RemedyError
from unstuck.loop import predict
from unstuck.measure.preparation import Allowance, Prepared, Trained
from unstuck.measure.protocol import NotMeasurable, Unmeasured
from unstuck.measure.robust_copy import FEWEST_STEPS, SCREEN_SHARE, race
from unstuck.measure.scores import Scores
from unstuck.measure.task import Task
from unstuck.setup import Setup
from unstuck.setup.randomness import isolated, one_thread

FACTORS: Final = (8, 4, 2)
"""How much wider every hidden layer is made, the first that can be trained in time; eight times is enough that a
two-unit bottleneck becomes a usual layer."""

SCREENED_STEPS: Final = round(SCREEN_SHARE * FEWEST_STEPS)
"""Steps by which the robust copy's rates are told apart: a larger model that cannot take as many tells nothing."""

STEP: Final = 3.0
"""Forward passes that a step takes as long as (Griewank & Walther 2008: a gradient takes two to three)."""

SAMPLES: Final = 64
"""Of a batch."""

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
    def measure(
        cls, prepared: Prepared, trained: Trained, task: Task | Unmeasured, allowance: Allowance
    ) -> EnlargedCopy:
        """Widen, and race the recipes.

        Returns:
            The best copy.

        Raises:
            NotMeasurable: If the structure could not be enlarged, or not trained in time.
        """
        known = None if isinstance(task, Unmeasured) else task
        try:
            factor, setup = _widest(prepared.setup, allowance.run_seconds)
            how = f"hidden layers {factor} times as wide"
        except RemedyError as narrow:
            factor, how = 1, f"a residual block of {UNITS} units in front of each linear layer"
            try:
                setup = with_blocks(prepared.setup, UNITS)
            except RemedyError as error:
                raise NotMeasurable(f"{narrow}; {error}") from error
        copy = race(prepared, setup, known, trained.run)
        return cls(copy.scores, factor, copy.recipe, how, copy.complete)


def _widest(setup: Setup, seconds: float) -> tuple[int, Setup]:
    """The set-up with its hidden layers as much wider as can be trained in so many seconds."""
    for factor in FACTORS:
        wider = widened(setup, factor)
        if SCREENED_STEPS * STEP * _forward_seconds(wider) <= seconds:
            return factor, wider
    raise NotMeasurable(f"{SCREENED_STEPS} steps of hidden layers {factor} times as wide take longer than a run may")


def _forward_seconds(setup: Setup) -> float:
    with isolated(setup.seed), one_thread():
        model, _ = setup.build()
        begun = time.process_time()  # of this process alone: a busy machine must not change what is compared
        predict(setup, model, setup.train.head(SAMPLES))
        return time.process_time() - begun
