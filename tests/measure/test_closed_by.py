"""How much of what falls short a comparator closes, also where the run as given is worse than a constant."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.tiny import comparison, scores
from unstuck.measure.comparison import LARGER_MODEL, OTHER_LEARNER, SAME_MODEL, Comparison
from unstuck.measure.shortfall import comparator_on_loss


def compared(given: float, **lowest: float) -> Comparison:
    """A run that ends at `given`, beside what reaches these losses; the best constant prediction has 1."""
    known = comparison(given, constant=1.0)
    kinds = {"copy": SAME_MODEL, "learner": OTHER_LEARNER, "larger": LARGER_MODEL}
    own = scores(given, given)
    return replace(
        known,
        given=own,
        comparators=tuple(
            comparator_on_loss(own, (1.0, 1.0), name, kinds[name], loss, loss, 0.0) for name, loss in lowest.items()
        ),
    )


def test_below_the_constant_a_share_is_one_of_shortfalls() -> None:
    known = compared(0.8, copy=0.5, learner=0.0)
    assert known.closed_by(OTHER_LEARNER) == 1.0
    assert known.closed_by(SAME_MODEL) == pytest.approx((0.3 / 0.5) / 0.8)


def test_above_the_constant_what_hardly_comes_down_closes_next_to_nothing() -> None:
    known = compared(1.3, copy=0.9, learner=0.0, larger=0.1)
    assert known.best() is known.best(SAME_MODEL)  # of which the run falls short by four times its small span
    assert known.closed_by(SAME_MODEL) == pytest.approx(0.1)
    assert known.closed_by(OTHER_LEARNER) == 1.0
    assert known.closed_by(LARGER_MODEL) == pytest.approx(0.9)


def test_nothing_is_closed_by_what_is_not_there() -> None:
    assert math.isnan(compared(1.3, copy=0.2).closed_by(LARGER_MODEL))
    assert math.isnan(compared(0.2, learner=0.5).closed_by(OTHER_LEARNER))


def test_what_does_no_better_than_a_constant_was_not_trained() -> None:
    known = compared(1.3, copy=1.05, learner=0.0)
    assert known.beats_constant(OTHER_LEARNER) and not known.beats_constant(SAME_MODEL)
    assert not known.beats_constant(LARGER_MODEL)
