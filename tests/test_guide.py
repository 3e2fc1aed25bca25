"""The guide's questions are pure functions of a comparison."""

import math

from hypothesis import given
from hypothesis import strategies as st

from unstuck.guide import ask, branch_of
from unstuck.measure.comparison import LARGER_MODEL, OTHER_LEARNER, SAME_MODEL, Comparator, Comparison, shortfall
from unstuck.measure.scores import Scores, SplitScore
from unstuck.report import Branch, Outcome


def score(loss: float) -> SplitScore:
    return SplitScore(loss, 0.01, math.nan, 400)


def comparator(kind: str, reached: float, run: float, constant: float = 2.3) -> Comparator:
    short = shortfall(run, reached, constant)
    return Comparator(kind, kind, "loss", reached, reached, short, short - 0.02, short + 0.02)


def comparison(training: float, held_out: float, test: float | None = None, *found: Comparator) -> Comparison:
    scores = Scores(score(training), score(held_out), None if test is None else score(test))
    settled = "" if found else "it is small"
    return Comparison(2.3, 2.3, None if test is None else 2.3, scores, found, settled)


def branch(patient: Comparison) -> Branch:
    return branch_of((), ask(patient))


def test_a_robust_copy_that_goes_lower_means_optimisation() -> None:
    patient = comparison(2.0, 2.0, None, comparator(SAME_MODEL, 0.1, 2.0), comparator(OTHER_LEARNER, 0.1, 2.0))
    assert branch(patient) is Branch.OPTIMISATION


def test_a_larger_model_that_goes_lower_means_model_bias() -> None:
    found = [comparator(SAME_MODEL, 1.9, 2.0), comparator(OTHER_LEARNER, 0.1, 2.0), comparator(LARGER_MODEL, 0.1, 2.0)]
    assert branch(comparison(2.0, 2.0, None, *found)) is Branch.MODEL_BIAS


def test_other_learners_alone_leave_it_undecided() -> None:
    found = [comparator(SAME_MODEL, 1.9, 2.0), comparator(OTHER_LEARNER, 0.1, 2.0)]
    assert branch(comparison(2.0, 2.0, None, *found)) is Branch.UNDECIDED


def test_a_small_loss_everywhere_is_healthy() -> None:
    assert branch(comparison(0.05, 0.1, 0.1)) is Branch.HEALTHY


def test_where_neither_run_nor_copy_comes_below_a_constant_nothing_is_told() -> None:
    copy = comparator(SAME_MODEL, 40.0, 50.0)
    (question, *_) = ask(comparison(50.0, 51.0, None, copy))
    assert question.answer is Outcome.UNDECIDED and "no copy comes below it" in question.because
    learner = comparator(OTHER_LEARNER, 2.3, 2.3001)
    assert branch(comparison(2.3001, 2.31, None, copy, learner)) is Branch.HEALTHY


def test_a_large_test_loss_is_a_mismatch() -> None:
    assert branch(comparison(0.05, 0.1, 1.9)) is Branch.MISMATCH


def test_a_gap_alone_is_not_yet_overfitting() -> None:
    patient = comparison(0.05, 0.9)
    assert ask(patient)[1].answer is Outcome.PRESENT
    assert branch(patient) is Branch.UNDECIDED


def test_nothing_to_compare_with_is_undecided() -> None:
    patient = Comparison(2.3, 2.3, None, Scores(score(2.0), score(2.0), None), ())
    assert branch(patient) is Branch.UNDECIDED


@given(st.floats(), st.floats(), st.floats())
def test_shortfall_is_total_and_capped(run: float, reached: float, constant: float) -> None:
    value = shortfall(run, reached, constant)
    assert math.isnan(value) or value <= 2.0


@given(st.floats(0.01, 0.99))
def test_shortfall_runs_from_0_at_the_comparator_to_1_at_the_constant(share: float) -> None:
    assert math.isclose(shortfall(0.1 + share * 2.2, 0.1, 2.3), share, rel_tol=1e-9)


@given(st.floats(), st.floats(), st.one_of(st.none(), st.floats()))
def test_the_guide_never_raises(training: float, held_out: float, test: float | None) -> None:
    branch(comparison(training, held_out, test))
