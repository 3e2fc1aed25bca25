"""Whether anything can be predicted: who is asked, and when nobody else needs to be."""

from __future__ import annotations

import math
from typing import Any

import pytest

from unstuck.measure.pooled_skill import PooledSkill
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.references import Reference, References, ShuffledControl
from unstuck.measure.robust_copy import RobustCopy
from unstuck.measure.scores import FinalScores, Scores, SplitScore
from unstuck.measure.signal import Signal
from unstuck.report import Outcome
from unstuck.rules.no_signal import judge


def scores(held_out: float, test: float | None = None, samples: int = 100) -> Scores:
    def split(error: float) -> SplitScore:
        return SplitScore(1.0, 0.1, error, samples)

    return Scores(split(0.9), split(held_out), None if test is None else split(test))


def final(held_out: float, test: float | None = None) -> FinalScores:
    return FinalScores(scores(held_out, test), SplitScore(1.0, 0.1, 1.0, 100))


def reference(name: str, kind: str, error: float, test: float | None = None) -> Reference:
    return Reference(name, kind, 1.0, 1.0, 1.0, 0.5, error, test, 0.1, 0.05, 0.1)


def nobody() -> Any:
    raise AssertionError("nobody else needs to be asked")


def robust(error: float) -> RobustCopy:
    return RobustCopy(scores(error), "Adam", 1e-3, 400, "as given")


def pooled(error: float) -> PooledSkill:
    return PooledSkill("trees", error, 0.02, 690)


def test_a_run_that_has_learnt_needs_no_others() -> None:
    found = Signal.measure(final(0.3), nobody, nobody, nobody, nobody)
    assert [skill.name for skill in found.skills] == ["the run as given"] and found.skills[0].beats_chance


def test_a_reference_that_beats_chance_ends_the_search() -> None:
    learners = References((reference("ridge regression", "linear", 0.7),), ())
    found = Signal.measure(final(1.1), lambda: learners, nobody, nobody, nobody)
    assert any(skill.beats_chance for skill in found.skills) and found.null_errors == ()


def test_without_skill_the_shuffled_control_is_asked() -> None:
    learners = References((reference("ridge regression", "linear", 1.02), reference("trees", "boosting", 1.1)), ())
    control = ShuffledControl((1.0, 1.05, 0.99), ())
    found = Signal.measure(final(1.2), lambda: learners, lambda: robust(1.3), lambda: pooled(1.0), lambda: control)
    assert len(found.skills) == 5 and found.linear_error == 1.02 and found.null_errors == (1.0, 1.05, 0.99)


def test_what_more_samples_would_show_is_a_signal() -> None:
    learners = References((reference("ridge regression", "linear", 1.02),), ())
    found = Signal.measure(final(1.2), lambda: learners, lambda: robust(1.3), lambda: pooled(0.9), nobody)
    assert judge(found).outcome is Outcome.ABSENT and found.null_errors == ()


def test_two_splits_are_pooled_by_their_samples() -> None:
    learners = References((reference("ridge regression", "linear", 1.0, 0.9),), ())
    control = ShuffledControl((1.0,), ())
    found = Signal.measure(final(1.2, 1.0), lambda: learners, lambda: robust(1.3), lambda: pooled(1.0), lambda: control)
    linear = found.skills[1]
    assert linear.pooled_error == pytest.approx(0.95)
    assert linear.pooled_standard_error == pytest.approx(0.05 * math.sqrt(0.5))


def test_an_error_that_cannot_be_told_is_not_measured() -> None:
    with pytest.raises(NotMeasurable):
        Signal.measure(final(math.nan), nobody, nobody, nobody, nobody)
