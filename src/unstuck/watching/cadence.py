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
"""Multiple of the usual time beyond which a step was no plain one, but a validation or a checkpoint; the mean of
several steps strays less, by the root of their number."""

GROWTH: Final = 1.05
"""What a pause adds to the usual time: steps that stay long become the usual ones."""

UNREAD: Final = 0.25
"""Seconds of steps after which the clock is read again."""

MOST_UNREAD: Final = 64
"""Steps after which it is read at the latest."""

JUDGING: Final = 0.25
"""Part of the share that is for judging what has been seen; samples leave it alone."""

LEAST: Final = 0.2
"""Part of the share that is for samples, also where hooks that are always there take the rest and more."""

LONGEST: Final = 1_000_000


@final
class Cadence:
    """Decides which step is looked at next, from what looking has cost so far.

    Attributes:
        share: Share of the time that watching may take; 0 or less for every step, whatever it costs.
        fixed: Seconds that hooks took which are there at every step.
        sampled: Seconds that samples took, and writing.
        judged: Seconds that judging took what they have shown.
        plain: Seconds that the steps took by themselves; a pause between two counts as one usual step.
        samples: Samples taken.
    """

    def __init__(self, share: float) -> None:
        """Start with nothing known.

        Args:
            share: Share of the time that watching may take; 0 or less for every step.
        """
        self.share = share
        self.fixed = 0.0
        self.sampled = 0.0
        self.judged = 0.0
        self.plain = 0.0
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
        return (self.fixed + self.sampled + self.judged) / self.plain if self.plain > 0.0 else math.nan

    def see_steps(self, count: int, seconds: float, fixed: float) -> None:
        """Take in steps that were not looked at.

        Args:
            count: How many.
            seconds: What they took together, watching included.
            fixed: What the hooks took of it.
        """
        usual, own = self._step, max(0.0, seconds - fixed) / count
        most = usual * (1.0 + (PAUSE - 1.0) / math.sqrt(count))
        if usual == 0.0:
            self._step = own
        elif own < most:
            self._step += MEMORY * (own - usual)
        else:
            own, self._step = usual, GROWTH * usual
        self.plain += count * own
        self.fixed += fixed

    def see_sample(self, seconds: float, cost: float) -> None:
        """Take in a step that was looked at.

        Args:
            seconds: What it took, the sample included.
            cost: What its hooks measured of the sample.
        """
        cost *= UNSEEN
        self.samples += 1
        self._cost = cost if self.samples <= 2 else self._cost + MEMORY * (cost - self._cost)
        self.sampled += cost
        self.plain += self._step if self._step > 0.0 else max(0.0, seconds - cost)

    def see_more(self, seconds: float) -> None:
        """Take in what came besides: hooks put in place and taken away, losses written."""
        self.sampled += seconds

    def see_judgement(self, seconds: float) -> None:
        """Take in what judging took."""
        self.judged += seconds

    def may_judge(self, cost: float) -> bool:
        """Whether judging at such a cost, in seconds, has been earned."""
        return self.every_step or self.judged + cost <= JUDGING * self.share * self.plain

    def steps_unseen(self) -> int:
        """Steps from here to the next one after which the clock is read, at least 1."""
        return max(1, min(MOST_UNREAD, int(UNREAD / self._step))) if self._step > 0.0 else 1

    def steps_until_next(self) -> int:
        """Steps from here to the next one to look at, at least 1, so that its cost will have been earned by then."""
        if self.every_step or self.samples < AT_ONCE:
            return 1
        if self._step <= 0.0:
            return AT_ONCE
        share = max((1.0 - JUDGING) * self.share - self.fixed / self.plain, LEAST * self.share)
        missing = (self.sampled + self._cost) / share - self.plain
        return max(1, min(LONGEST, math.ceil(missing / self._step)))
