"""What an examination tells while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from unstuck.report import RuleSummary


@final
@dataclass(frozen=True, slots=True)
class Progress:
    """A sign of life.

    Attributes:
        doing: What is being tried, such as "training as given".
        elapsed: Seconds since the start.
        left: Seconds of the budget that are left.
        suspicion: A rule that has just been suspected, or None.
    """

    doing: str
    elapsed: float
    left: float
    suspicion: RuleSummary | None = None


Listener = Callable[[Progress], None]


def nobody(progress: Progress) -> None:
    """Listen to nothing."""
