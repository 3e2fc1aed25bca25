"""The guide: its questions, each answered by a number with an interval. Pure."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from unstuck.measure.comparison import LARGE, LARGER_MODEL, MOST_OF_IT, SAME_MODEL, Comparison
from unstuck.measure.gap import gap
from unstuck.quantity import Quantity
from unstuck.report import FAMILY_BRANCH, Branch, Finding, Outcome, Question, Status

HELD_OUT_LARGE: Final = "Is the loss large on held-out training data?"


def ask(comparison: Comparison) -> tuple[Question, ...]:
    """Walk the guide as far as the comparison can tell.

    Args:
        comparison: Where the run as given stands.

    Returns:
        The forks that were passed, in order.
    """
    first = is_training_large(comparison)
    if first.answer is Outcome.PRESENT:
        second = does_same_model_go_lower(comparison)
        return (
            (first, second) if second.answer is Outcome.PRESENT else (first, second, does_larger_go_lower(comparison))
        )
    questions = [first, is_held_out_large(comparison)]
    test = is_test_large(comparison)
    return tuple(questions) if test is None else (*questions, test)


def is_training_large(comparison: Comparison) -> Question:
    """Is the training loss large, against everything that goes lower on held-out data too?"""
    text = "Is the training loss large?"
    if comparison.settled:
        ratio = comparison.given.training.loss / comparison.constant_training
        number = Quantity("training loss / that of the best constant", ratio)
        return Question(text, Outcome.ABSENT, number, LARGE, comparison.settled)
    best = comparison.best()
    name = "share of the span from the best constant to the best comparison still open"
    if best is None:
        return Question(text, Outcome.UNDECIDED, Quantity(name, math.nan), LARGE, "nothing could be compared")
    number = Quantity(name, best.shortfall, "1", best.low, best.high)
    doubtful = Outcome.UNDECIDED if comparison.training_may_be_large else Outcome.ABSENT
    answer = Outcome.PRESENT if comparison.training_is_large else doubtful
    reached = f"{best.name} reaches {best.training:.3g} on the training data and {best.held_out:.3g} on held-out data"
    because = f"{reached} ({best.scale}); as given it is {_given(comparison, best.scale)}"
    if answer is Outcome.ABSENT and _is_out_of_scale(comparison):
        constant = f"the best constant prediction has {comparison.constant_training:.3g}, and no copy comes below it"
        return Question(text, Outcome.UNDECIDED, Quantity(name, math.nan), LARGE, f"{because}; {constant}")
    return Question(text, answer, number, LARGE, because)


def _is_out_of_scale(comparison: Comparison) -> bool:
    """Whether run and copies all stay above the best constant, and there is no other learner to tell why."""
    above = comparison.given.training.loss > comparison.constant_training
    return above and not comparison.can_clear and not comparison.beats_constant(SAME_MODEL)


def _given(comparison: Comparison, scale: str) -> str:
    given = comparison.given
    pair = (
        (given.training.loss, given.held_out.loss) if scale == "loss" else (given.training.error, given.held_out.error)
    )
    return f"{pair[0]:.3g} and {pair[1]:.3g}"


def does_same_model_go_lower(comparison: Comparison) -> Question:
    """Does the same model, robustly optimised, close most of the shortfall?"""
    return _closes(comparison, SAME_MODEL, "Does the same model, robustly trained, go lower?")


def does_larger_go_lower(comparison: Comparison) -> Question:
    """Does a larger model close most of the shortfall?"""
    return _closes(comparison, LARGER_MODEL, "Does a larger model go lower?")


def _closes(comparison: Comparison, kind: str, text: str) -> Question:
    name = "share of the shortfall that it closes"
    best, copy = comparison.best(), comparison.best(kind)
    if best is None or copy is None or best.shortfall <= 0.0:
        return Question(
            text,
            Outcome.UNDECIDED,
            Quantity(name, math.nan),
            MOST_OF_IT,
            "it could not be trained, or only for less long than the run as given",
        )
    share = comparison.closed_by(kind)
    number = Quantity(name, share)
    if best.shortfall <= 1.0:
        number = Quantity(name, share, "1", copy.low / best.shortfall, copy.high / best.shortfall)
    answer = Outcome.PRESENT if share >= MOST_OF_IT.value else Outcome.ABSENT
    because = f"{copy.name} reaches {copy.training:.3g} on the training data ({copy.scale})"
    return Question(text, answer, number, MOST_OF_IT, because)


def is_held_out_large(comparison: Comparison) -> Question:
    """Is the loss larger on held-out samples of the training distribution?"""
    number = gap(comparison, "held_out", "training")
    return _gap_question(HELD_OUT_LARGE, number, comparison, "held_out", "training")


def is_test_large(comparison: Comparison) -> Question | None:
    """Is the loss larger on the test data than on held-out training data? None without test data."""
    if comparison.given.test is None:
        return None
    number = gap(comparison, "test", "held_out")
    return _gap_question("Is the loss large on the test data?", number, comparison, "test", "held_out")


def _gap_question(text: str, number: Quantity, comparison: Comparison, upper: str, lower: str) -> Question:
    low = -math.inf if number.low is None else number.low
    large = number.value >= LARGE.value and low > 0.0
    high, base = getattr(comparison.given, upper).loss, getattr(comparison.given, lower).loss
    names = upper.replace("_", "-"), lower.replace("_", "-")
    because = f"{high:.3g} on the {names[0]} data against {base:.3g} on the {names[1]} data"
    return Question(text, Outcome.PRESENT if large else Outcome.ABSENT, number, LARGE, because)


def settled(
    questions: tuple[Question, ...], findings: tuple[Finding, ...], ruled_out: tuple[Finding, ...]
) -> tuple[Question, ...]:
    """The way through the guide once the trials are in.

    A gap to held-out data that no remedy closes is natural for these data, and the way goes on past it; one that a
    remedy closes is overfitting, and the way ends there. Where no remedy was asked for it stays open.

    Args:
        questions: As answered by the comparison.
        findings: Ranked.
        ruled_out: What was judged and is not there.

    Returns:
        The questions, that of the gap settled.
    """
    codes = {finding.rule.code[:3]: finding.status for finding in reversed(findings)}  # the first counts
    judged = any(finding.rule.code.startswith("GEN") for finding in ruled_out)
    for number, question in enumerate(questions):
        if question.text != HELD_OUT_LARGE or question.answer is not Outcome.PRESENT:
            continue
        if "GEN" in codes:
            return questions[: number + 1] if codes["GEN"] is Status.CONFIRMED else questions
        answer = Outcome.ABSENT if judged else Outcome.UNDECIDED
        reason = "no remedy that was tried closes this gap, so it is taken for natural"
        reason = reason if judged else "no remedy was tried, so it may be natural"
        natural = replace(question, answer=answer, because=f"{question.because}; {reason}")
        return (*questions[:number], natural, *questions[number + 1 :])
    return questions


def branch_of(findings: tuple[Finding, ...], questions: tuple[Question, ...]) -> Branch:
    """The branch taken: that of the proven root cause, else where the questions lead.

    Args:
        findings: Ranked.
        questions: As answered.

    Returns:
        The branch.
    """
    if findings and findings[0].status is Status.CONFIRMED:
        return FAMILY_BRANCH[findings[0].rule.code[:3]]
    answers = [question.answer for question in questions]
    if not answers or answers[0] is Outcome.UNDECIDED:
        return Branch.UNDECIDED
    if answers[0] is Outcome.PRESENT:
        if answers[1] is Outcome.PRESENT:
            return Branch.OPTIMISATION
        return Branch.MODEL_BIAS if answers[-1] is Outcome.PRESENT else Branch.UNDECIDED
    if len(answers) > 1 and answers[1] is Outcome.PRESENT:
        return Branch.UNDECIDED  # a gap that is neither proven to be overfitting nor settled as natural
    if len(answers) > 2 and answers[2] is Outcome.PRESENT:
        return Branch.MISMATCH
    if Outcome.UNDECIDED in answers:
        return Branch.UNDECIDED
    return Branch.HEALTHY
