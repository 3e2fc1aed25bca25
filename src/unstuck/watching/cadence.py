"""When to look: as often as a share of the run's time allows, more closely at its start. No torch."""

from __future__ import annotations

import math
from typing import Final, final

SHARE: Final = 0.01
"""Share of the run's time that watching may take unless another is chosen."""

AT_ONCE: Final = 3
"""Steps at the start that are looked at whatever they cost: most goes wrong there."""

UNSEEN: Final = 1.3
"""What a sample costs over what its hooks measure: caches that are emptied, tensors that are freed later."""

MEMORY: Final = 0.2
"""Weight of the newest value in the running means."""

PAUSE: Final = 5.0
"""Multiple of the usual time beyond which a step was no plain one, but a validation or a checkpoint."""

LONGEST: Final = 1_000_000


@final
class Cadence:
    """Decides which step is looked at next, from what looking has cost so far.

    Attributes:
        share: Share of the time that watching may take; 0 or less for every step, whatever it costs.
        spent: Seconds that watching took.
        elapsed: Seconds of the run, watching included.
        samples: Samples taken.
    """

    def __init__(self, share: float) -> None:
        """Start with nothing known.

        Args:
            share: Share of the time that watching may take; 0 or less for every step.
        """
        self.share = share
        self.spent = 0.0
        self.elapsed = 0.0
        self.samples = 0
        self._cost = 0.0
        self._step = 0.0

    @property
    def every_step(self) -> bool:
        """Whether each step is looked at."""
        return self.share <= 0.0

    @property
    def overhead(self) -> float:
        """Share of the time that watching has taken; NaN before anything was timed."""
        plain = self.elapsed - self.spent
        return self.spent / plain if plain > 0.0 else math.nan

    def see_step(self, seconds: float) -> None:
        """Take in how long a step took that was not looked at."""
        if self._step == 0.0:
            self._step = seconds
        elif seconds < PAUSE * self._step:
            self._step += MEMORY * (seconds - self._step)

    def see_sample(self, seconds: float) -> None:
        """Take in what a sample cost."""
        seconds *= UNSEEN
        self.samples += 1
        self._cost = seconds if self.samples <= 2 else self._cost + MEMORY * (seconds - self._cost)

    def steps_until_next(self) -> int:
        """Steps from here to the next one to look at, at least 1, so that its cost will have been earned by then."""
        if self.every_step or self.samples < AT_ONCE:
            return 1
        if self._step <= 0.0:
            return AT_ONCE
        missing = (self.spent + self._cost) / self.share - (self.elapsed - self.spent)
        return max(1, min(LONGEST, math.ceil(missing / self._step)))
