"""A clock that a busy neighbour does not hurry: what is compared must not depend on what else the machine does."""

from __future__ import annotations

import time
from typing import Final, final

MOST_WAITING: Final = 3.0
"""Seconds of wall time that count as one where the thread itself does less: it waits, for data or a device."""


@final
class WorkClock:
    """Seconds that this thread has worked since the clock was made."""

    def __init__(self) -> None:
        self._wall, self._own = time.perf_counter(), time.thread_time()

    def __call__(self) -> float:
        """Processor time of this thread, or a third of the wall time where that is more."""
        own, wall = time.thread_time() - self._own, time.perf_counter() - self._wall
        return max(own, wall / MOST_WAITING)
