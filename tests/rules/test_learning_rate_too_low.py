"""Too low a rate: what is said of it agrees with the numbers shown beside it."""

from __future__ import annotations

import math

import pytest

from unstuck.measure.course import FLAT, Course
from unstuck.report import Outcome
from unstuck.rules.learning_rate_too_low import judge


def course(late_fall: float, largest_update: float) -> Course:
    return Course(
        steps=400, non_finite_at=-1, start=2.0, end=1.0, highest=2.0, early_noise=0.01, late_noise=0.01,
        late_fall=late_fall, late_fall_low=0.9 * late_fall, late_fall_high=1.1 * late_fall, early_fall=1.0 - late_fall,
        typical_update=4e-4, largest_update=largest_update, last_update=4e-4, epochs=10, best_epoch=10,
        stopped="finished",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("late_fall", "largest", "outcome", "says"),
    [
        (0.5, 5e-4, Outcome.PRESENT, "had not settled"),
        (0.03, 5e-4, Outcome.PRESENT, "levelled off"),
        (0.03, 5e-2, Outcome.ABSENT, "stayed where it was"),
    ],
)
def test_a_run_that_levelled_off_is_not_said_to_be_still_falling(
    late_fall: float, largest: float, outcome: Outcome, says: str
) -> None:
    verdict = judge(course(late_fall, largest))
    assert verdict.outcome is outcome and says in verdict.sentence
    share = next(each.quantity for each in verdict.evidence if each.limit is FLAT)
    assert share.low is not None and share.high is not None
    assert math.isclose(share.value, late_fall) and share.low < share.value < share.high
    assert ("had not settled" in verdict.sentence) is (share.high > FLAT.value)
