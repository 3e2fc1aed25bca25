"""The whole guide as a tree, the way that a report took through it lit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

from unstuck.render.figures import against, amount
from unstuck.render.guide import BRANCH_SENTENCE
from unstuck.render.lines import clean
from unstuck.report import Branch, Outcome, Question, Report


@final
@dataclass(frozen=True, slots=True)
class Fork:
    """A question of the guide as it is printed in the design.

    Attributes:
        words: A question of a report that holds them is this one.
        text: The question.
        yes: Where yes leads.
        no: Where no leads.
    """

    words: str
    text: str
    yes: Fork | Branch
    no: Fork | Branch


GUIDE: Final = Fork(
    "training loss",
    "Is the training loss large?",
    yes=Fork(
        "robust",
        "Does the same model, robustly trained, go lower?",
        yes=Branch.OPTIMISATION,
        no=Fork("larger model", "Does a larger model go lower?", yes=Branch.MODEL_BIAS, no=Branch.DATA),
    ),
    no=Fork(
        "held-out",
        "Is the loss large on held-out training data?",
        yes=Branch.OVERFITTING,
        no=Fork("test data", "Is the loss large on the test data?", yes=Branch.MISMATCH, no=Branch.HEALTHY),
    ),
)
SENTENCE: Final = {
    **BRANCH_SENTENCE,
    Branch.DATA: "the data hold no more",
    Branch.HEALTHY: "it trains",
}
ORDER: Final = ("robust", "larger model", "held-out", "test data", "training loss")
"""Words to look for, the more telling first: the question of held-out data may speak of training too."""

MAY_BE_ANYWHERE: Final = (Branch.SETUP, Branch.DATA)


@final
@dataclass(frozen=True, slots=True)
class Way:
    """One answer of a fork.

    Attributes:
        answer: "yes" or "no".
        lit: Whether the report went this way.
        end: The branch that it ends in, in words, or "".
        fork: The next question, where there is one.
    """

    answer: str
    lit: bool
    end: str
    fork: Node | None


@final
@dataclass(frozen=True, slots=True)
class Node:
    """A fork as the page shows it.

    Attributes:
        text: The question.
        asked: Whether the report came here.
        undecided: Whether it stopped here, unable to tell.
        number: The number that chose the way against its limit, or "".
        name: What that number is.
        source: Where the limit comes from.
        because: The comparison in words.
        ways: Both answers.
    """

    text: str
    asked: bool
    undecided: bool
    number: str
    name: str
    source: str
    because: str
    ways: tuple[Way, ...]


def _which(question: Question) -> str:
    text = question.text.lower()
    return next((words for words in ORDER if words in text), "")


def _node(fork: Fork, asked: dict[str, Question], reached: bool) -> Node:
    question = asked.get(fork.words) if reached else None
    yes = question is not None and question.answer is Outcome.PRESENT
    no = question is not None and question.answer is Outcome.ABSENT
    ways = tuple(
        Way(
            answer,
            lit,
            SENTENCE[leads] if isinstance(leads, Branch) else "",
            _node(leads, asked, lit) if isinstance(leads, Fork) else None,
        )
        for answer, lit, leads in (("yes", yes, fork.yes), ("no", no, fork.no))
    )
    if question is None:
        return Node(fork.text, False, False, "", "", "", "", ways)
    undecided = question.answer is Outcome.UNDECIDED
    known = not math.isnan(question.quantity.value)  # else its reason alone tells why
    number = f"{amount(question.quantity)}, {against(question.quantity, question.limit)}" if known else ""
    return Node(
        clean(question.text, 160), True, undecided, clean(number), clean(question.quantity.name, 120),
        clean(question.limit.source, 240), clean(question.because, 320), ways,
    )  # fmt: skip


def tree(report: Report) -> Node:
    """The guide with the way of a report lit.

    Args:
        report: The report.

    Returns:
        The first fork; what the report did not come to is there too, unlit.
    """
    asked: dict[str, Question] = {}
    for question in report.questions:
        asked.setdefault(_which(question), question)
    return _node(GUIDE, asked, True)


def strays(report: Report) -> tuple[Question, ...]:
    """Questions that the guide of today does not have."""
    return tuple(question for question in report.questions if not _which(question))


def end_of(node: Node) -> str:
    """The branch in words that the lit way ends in, or "" where it stops before."""
    for way in node.ways:
        if way.lit:
            return way.end if way.fork is None else end_of(way.fork)
    return ""


def destination(report: Report, node: Node) -> str:
    """What to say of a report whose branch is not where the lit way ends, or ""."""
    if not report.questions:
        return "" if report.branch_taken is not Branch.UNDECIDED else "No fork was reached."
    branch = report.branch_taken
    if branch in MAY_BE_ANYWHERE:
        return f"Before all of it: {BRANCH_SENTENCE[branch]}."
    end = end_of(node)
    if end == SENTENCE[branch]:
        return ""
    if branch is Branch.UNDECIDED:
        return "Where the failure lies could not be decided."
    return f"Trying it out led here: {BRANCH_SENTENCE[branch]}."
