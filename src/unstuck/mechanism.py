"""Whether what one remedy cures takes the sign of another fault with it. Pure."""

from __future__ import annotations

import math
from typing import Final

from unstuck.report import Evidence, Outcome, Verdict

MOST: Final = 0.9
"""Share of the way to its limit that the deciding number of a consequence goes, at least, once its cause is treated."""


def is_gone(before: Verdict, after: Verdict) -> bool:
    """Whether a suspicion was the consequence of what has been treated since.

    Args:
        before: What raised it.
        after: The same rule's verdict on the treated set-up.

    Returns:
        Whether nothing is suspected any more, or the number that decided has gone most of the way to its limit.
    """
    if after.outcome is Outcome.ABSENT:
        return True
    if not (before.evidence and after.evidence):
        return False
    was, now = before.evidence[0], after.evidence[0]
    if was.quantity.name != now.quantity.name:
        return False
    distance = _distance(was)
    return distance > 0.0 and _distance(now) <= (1.0 - MOST) * distance


def _distance(evidence: Evidence) -> float:
    """How far a number lies from its limit, in orders of magnitude where both are positive; NaN without a limit."""
    if evidence.limit is None or not math.isfinite(evidence.quantity.value):
        return math.nan
    value, limit = evidence.quantity.value, evidence.limit.value
    return abs(math.log(value / limit)) if value > 0.0 and limit > 0.0 else abs(value - limit)
