"""The comparison: a loss is large only where something goes lower on training and on held-out data."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NoReturn

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from tests.tiny import comparison, scores, split
from unstuck.guide import does_same_model_go_lower
from unstuck.measure.best_constant import BestConstant
from unstuck.measure.comparison import (
    LARGER_MODEL,
    OTHER_LEARNER,
    SAME_MODEL,
    Comparison,
    LearnerComparison,
)
from unstuck.measure.gap import gap
from unstuck.measure.loss_form import OutputForm
from unstuck.measure.protocol import NotMeasurable, Unmeasured
from unstuck.measure.references import Reference, References
from unstuck.measure.scores import FinalScores, Scores, SplitScore
from unstuck.measure.shortfall import FURTHEST, shortfall
from unstuck.measure.task import Kind, Task
from unstuck.report import Outcome


def missing() -> NoReturn:
    raise NotMeasurable("not here")


def constant(value: float) -> BestConstant:
    return BestConstant(value, value, None, ())


def reference(training: float, held_out: float, spread: float = 0.0) -> References:
    linear = Reference("linear", "linear", training, held_out, None, None, None, None, spread, None, 0.0)
    return References((linear,), ())


def against(given: Scores, other: References | None, best: float = 1.0) -> Comparison:
    final = FinalScores(given, given.training)
    learners = missing if other is None else lambda: other
    return LearnerComparison.measure(final, constant(best), Unmeasured("unknown"), learners).comparison


class Copy:
    def __init__(self, training: float, held_out: float | None = None, complete: bool = True) -> None:
        self.scores = scores(training, held_out)
        self.complete = complete


def measured(base: Comparison, robust: Any, enlarged: Any) -> tuple[Comparison, list[str]]:
    """The whole comparison, and which copies were asked for."""
    asked: list[str] = []

    def copy(name: str, value: Any) -> Any:
        def take() -> Any:
            asked.append(name)
            return missing() if value is None else value

        return take

    return Comparison.measure(LearnerComparison(base), copy("robust", robust), copy("enlarged", enlarged)), asked


@pytest.mark.parametrize(
    ("run", "share"),
    [(1.0, 1.0), (0.0, 0.0), (0.5, 0.5), (-0.5, -0.5), (1e9, FURTHEST), (math.inf, FURTHEST), (math.nan, FURTHEST)],
)
def test_shortfall_is_a_share_of_the_span(run: float, share: float) -> None:
    assert shortfall(run, 0.0, 1.0) == share


@pytest.mark.parametrize(
    ("reached", "best"), [(1.0, 1.0), (2.0, 1.0), (math.inf, 1.0), (math.nan, 1.0), (0.0, math.nan), (0.0, math.inf)]
)
def test_what_is_no_better_than_a_constant_accuses_nobody(reached: float, best: float) -> None:
    assert shortfall(5.0, reached, best) == 0.0


@drawn(st.floats(), st.floats(), st.floats())
def test_shortfall_is_a_number(run: float, reached: float, best: float) -> None:
    assert shortfall(run, reached, best) <= FURTHEST


def test_a_loss_that_others_undercut_on_both_splits_is_large() -> None:
    known = against(scores(0.9), reference(0.1, 0.1))
    assert known.training_is_large
    assert known.shortfall == pytest.approx(0.8 / 0.9)


def test_a_learner_that_memorises_proves_nothing() -> None:
    assert not against(scores(0.9), reference(0.0, 0.9)).training_is_large
    assert not against(scores(0.9), reference(0.9, 0.1)).training_is_large


def test_a_shortfall_within_its_noise_is_not_large() -> None:
    assert against(scores(0.9), reference(0.5, 0.5, spread=0.01)).training_is_large
    assert not against(scores(0.9), reference(0.5, 0.5, spread=0.5)).training_is_large


def test_an_interval_has_a_scale_also_against_what_is_no_better_than_a_constant() -> None:
    best = against(scores(0.3), reference(1.5, 1.5, spread=0.2)).best()
    assert best is not None and (best.shortfall, best.low, best.high) == (0.0, -FURTHEST, FURTHEST)
    far_above = against(scores(0.1), reference(0.8, 0.8, spread=0.2)).best()
    assert far_above is not None and far_above.low <= far_above.shortfall < -FURTHEST < far_above.high <= FURTHEST


@pytest.mark.parametrize(("run", "is_large"), [(0.089, False), (0.12, True)])
def test_large_begins_at_a_tenth_of_the_span(run: float, is_large: bool) -> None:
    assert against(scores(run + 0.5), reference(0.5, 0.5), best=1.5).training_is_large is is_large


def test_next_to_no_loss_needs_no_comparison() -> None:
    known = against(scores(0.05), None)
    assert "5.0%" in known.settled
    assert known.can_clear and not known.training_is_large and known.comparators == ()


def test_a_small_loss_with_a_large_error_is_not_settled() -> None:
    bad = Scores(SplitScore(0.05, 0.0, 0.9, 100), split(0.05), None)
    assert against(bad, reference(0.1, 0.1)).settled == ""


@pytest.mark.parametrize("loss", [math.nan, math.inf, -0.5])
def test_a_loss_that_cannot_be_held_against_zero_is_not_settled(loss: float) -> None:
    assert against(scores(loss), None).settled == ""


@pytest.mark.parametrize(("loss", "scales"), [(-5.0, {"error"}), (0.9, {"loss", "error"})])
def test_a_likelihood_of_classes_below_zero_has_no_floor_and_is_no_scale(loss: float, scales: set[str]) -> None:
    form = OutputForm.CLASS_LOG_PROBABILITIES
    task = Task(Kind.CLASSES, 3, False, False, (9, 3), (9,), "negative log-likelihood", form, True)
    given = Scores(split(loss, 1.0), split(loss, 1.0), None)
    linear = Reference("linear", "linear", 0.1, 0.1, None, 0.1, 0.1, None, 0.0, 0.0, 0.0)
    base = LearnerComparison.measure(
        FinalScores(given, given.training), constant(1.0), task, lambda: References((linear,), ())
    )
    assert {other.scale for other in base.comparison.comparators} == scales
    assert base.comparison.by_error_only is (scales == {"error"})


def test_without_learners_nothing_is_cleared_and_nothing_accused() -> None:
    known = against(scores(0.9), None)
    assert known.comparators == () and not known.can_clear and not known.training_is_large
    assert known.shortfall == 0.0 and known.best() is None


def test_a_run_worse_than_a_constant_falls_short_however_it_scatters() -> None:
    wild = Scores(SplitScore(9.0, 5.0, math.nan, 100), SplitScore(9.0, 50.0, math.nan, 100), None)
    assert against(wild, reference(0.1, 0.1)).training_is_large


def test_the_larger_model_is_asked_only_where_others_beat_the_same_model() -> None:
    base = against(scores(0.9), reference(0.1, 0.1))
    whole, asked = measured(base, Copy(0.85), Copy(0.1))
    assert asked == ["robust", "enlarged"]
    assert [c.kind for c in whole.comparators] == [OTHER_LEARNER, SAME_MODEL, LARGER_MODEL]
    whole, asked = measured(base, Copy(0.1), Copy(0.1))
    assert asked == ["robust"]


def test_a_settled_comparison_asks_for_no_copy() -> None:
    whole, asked = measured(against(scores(0.01), None), Copy(0.0), Copy(0.0))
    assert asked == [] and whole.comparators == ()


def test_copies_that_cannot_be_trained_are_left_out() -> None:
    base = against(scores(0.9), reference(0.1, 0.1))
    whole, asked = measured(base, None, None)
    assert whole.comparators == base.comparators
    assert asked == ["robust", "enlarged"]


@pytest.mark.parametrize(("reached", "counts"), [(0.95, False), (0.85, True)])
def test_a_copy_cut_short_speaks_only_where_it_goes_lower(reached: float, counts: bool) -> None:
    """Fewer steps than the run as given, and above it: that says nothing of what the model can do."""
    base = against(scores(0.9), reference(0.1, 0.1))
    whole, _ = measured(base, Copy(reached, complete=False), None)
    assert bool(whole.best(SAME_MODEL)) is counts
    assert does_same_model_go_lower(whole).answer is (Outcome.ABSENT if counts else Outcome.UNDECIDED)
    assert measured(base, Copy(reached), None)[0].best(SAME_MODEL) is not None


def test_what_is_narrow_on_purpose_is_compared_with_no_larger_model() -> None:
    base = replace(against(scores(0.9), None), narrow_on_purpose=True)
    assert measured(base, Copy(0.1), Copy(0.0))[1] == ["robust"]


def test_the_lowest_loss_is_that_of_the_run_where_nothing_goes_lower() -> None:
    assert comparison(0.4, 0.1).lowest("training") == 0.1
    assert comparison(0.05, 0.1).lowest("training") == 0.05


def test_another_run_is_held_against_the_same_comparators() -> None:
    known = comparison(0.9, 0.1)
    assert known.shortfall_of(scores(0.1), by_loss=True) == 0.0
    assert known.shortfall_of(scores(1.0), by_loss=True) == 1.0
    assert known.shortfall_of(scores(0.1, 1.0), by_loss=True) == 0.0  # the smaller of both splits
    assert known.shortfall_of(scores(math.inf), by_loss=True) == pytest.approx(FURTHEST)
    assert known.shortfall_of(scores(1.0), by_loss=False) == 0.0  # a loss that means something else


def test_the_best_is_the_one_that_the_run_falls_most_short_of() -> None:
    near, far = comparison(0.9, 0.8), comparison(0.9, 0.1)
    both = replace(near, comparators=(*near.comparators, *far.comparators))
    best = both.best()
    assert best is not None and best.training == 0.1
    assert both.best(SAME_MODEL) is None


def test_the_gap_is_a_share_of_the_span() -> None:
    known = replace(comparison(0.1, 0.1), given=scores(0.1, 0.55))
    found = gap(known, "held_out", "training")
    assert found.value == pytest.approx(0.5)
    assert math.isnan(gap(known, "test", "held_out").value)


def test_the_gap_carries_the_scatter_of_both_splits() -> None:
    noisy = Scores(SplitScore(0.1, 0.09, math.nan, 10), SplitScore(0.55, 0.12, math.nan, 10), None)
    found = gap(replace(comparison(0.1, 0.1), given=noisy), "held_out", "training")
    assert found.low is not None and found.high is not None
    assert found.high - found.low == pytest.approx(4 * 0.15 / 0.9)
