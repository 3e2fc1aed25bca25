"""The time that an examination may take, and what is left of it."""

from __future__ import annotations

import math
import time
from typing import Final, final

RUN_SHARE: Final = 0.25
"""Share of the budget that one run may take, so that a control and its trials fit in."""

UNTIL_KNOWN: Final = 3600.0
"""Seconds that stand for a budget in runs until the cost of one is known."""

LEAST_FOR_RUNS: Final = 5.0
"""Seconds that a budget in runs comes to at least: what is done once does not shrink with the run."""


@final
class Budget:
    """A wall-clock budget that has begun to run.

    Attributes:
        seconds: All of it.
        deadline: `time.monotonic()` value at its end.
    """

    def __init__(self, budget: float | str) -> None:
        """Start the clock.

        Args:
            budget: Seconds, or "3x" for so many runs.

        Raises:
            ValueError: If it is neither.
        """
        self._start = time.monotonic()
        self._runs = _runs(budget)
        self.seconds = UNTIL_KNOWN if self._runs is not None else float(budget)
        if not self.seconds > 0.0:
            raise ValueError(f"`budget` must be above 0 seconds; got {budget}. Use 60.")
        self.deadline = self._start + self.seconds

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start

    @property
    def left(self) -> float:
        """Seconds that remain; 0 where it is used up."""
        return max(0.0, self.seconds - self.elapsed)

    @property
    def is_spent(self) -> bool:
        """Whether it is used up."""
        return time.monotonic() > self.deadline

    @property
    def run_seconds(self) -> float:
        """Seconds after which one run is cut short."""
        return RUN_SHARE * self.seconds

    def one_run_took(self, seconds: float) -> None:
        """Settle a budget in runs, now that the cost of one is known."""
        if self._runs is not None:
            self.seconds = max(LEAST_FOR_RUNS, self._runs * seconds)
            self.deadline = self._start + self.seconds


def _runs(budget: float | str) -> float | None:
    """The factor of "3x", None for plain seconds."""
    refused = ValueError(f"`budget` must be seconds or a factor such as '3x'; got {budget!r}. Use 60.")
    if not isinstance(budget, (int, float, str)) or isinstance(budget, bool):
        raise refused
    if not isinstance(budget, str):
        return None
    try:
        factor = float(budget[:-1]) if budget.endswith("x") else math.nan
    except ValueError:
        raise refused from None
    if not (math.isfinite(factor) and factor > 0.0):
        raise refused
    return factor
