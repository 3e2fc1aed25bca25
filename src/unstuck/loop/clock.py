"""A clock that a busy neighbour does not hurry: what is compared must not depend on what else the machine does."""

from __future__ import annotations

import time
from typing import Final, final

MOST_WAITING: Final = 3.0
"""Seconds of wall time that count as one where the thread itself does less: it waits, for data or a device."""


@final
class WorkClock:
    """Seconds that this thread has worked since the clock was made."""

    def __init__(self, most_waiting: float = MOST_WAITING) -> None:
        """Start at 0.

        Args:
            most_waiting: Seconds of wall time that count as one where the thread does less.
        """
        self._most_waiting = most_waiting
        self._wall, self._own = time.perf_counter(), time.thread_time()

    def __call__(self) -> float:
        """Processor time of this thread, or the share of the wall time that counts where that is more."""
        own, wall = time.thread_time() - self._own, time.perf_counter() - self._wall
        return max(own, wall / self._most_waiting)
