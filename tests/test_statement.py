"""The verdict in one sentence: it speaks of a failure only where one was seen."""

from __future__ import annotations

import math

import pytest

from unstuck.quantity import Quantity, Threshold
from unstuck.report import Branch, Outcome, Question
from unstuck.statement import sentence_of

LIMIT = Threshold(0.1, "1", "a test")


def question(answer: Outcome) -> Question:
    return Question("Is the training loss large?", answer, Quantity("share", math.nan), LIMIT, "nothing was compared")


@pytest.mark.parametrize(
    ("answers", "begins"),
    [
        ((), "Whether it fails could not be decided"),
        ((Outcome.UNDECIDED, Outcome.ABSENT), "Whether it fails could not be decided"),
        ((Outcome.PRESENT, Outcome.UNDECIDED), "Where the failure lies could not be decided"),
        ((Outcome.ABSENT, Outcome.PRESENT), "Where the failure lies could not be decided"),
    ],
)
def test_where_nothing_was_seen_to_fail_no_failure_is_spoken_of(answers: tuple[Outcome, ...], begins: str) -> None:
    questions = tuple(map(question, answers))
    assert sentence_of(Branch.UNDECIDED, (), questions, True) == f"{begins}; no single cause was proven."
