"""The branch of the guide as a small tree: each fork with its number, the way taken marked with ●."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

from unstuck.render.figures import against, amount
from unstuck.render.lines import EMPTY, Line, Span, Style, clean, line, wrap
from unstuck.report import Branch, Outcome, Question, Report

BRANCH_SENTENCE: Final[Mapping[Branch, str]] = {
    Branch.SETUP: "the program does not do what its author means",
    Branch.DATA: "the data carry the fault",
    Branch.OPTIMISATION: "optimisation fails",
    Branch.MODEL_BIAS: "model bias: the model is too small",
    Branch.OVERFITTING: "overfitting",
    Branch.MISMATCH: "mismatch of the test data",
    Branch.HEALTHY: "it trains",
    Branch.UNDECIDED: "undecided",
}


@final
@dataclass(frozen=True, slots=True)
class Ways:
    """Where the two answers of a question lead: a branch, or words for what is asked next."""

    words: str
    yes: Branch | str
    no: Branch | str


WAYS: Final = (
    Ways("robust", Branch.OPTIMISATION, "model bias, or the data hold no more"),
    Ways("larger model", Branch.MODEL_BIAS, "the data hold no more"),
    Ways("held-out", Branch.OVERFITTING, "mismatch, or it trains"),
    Ways("test data", Branch.MISMATCH, Branch.HEALTHY),
    Ways("training loss", "optimisation, model bias or data", "overfitting, mismatch, or it trains"),
)
"""Known questions by words that they hold; the first that fits counts."""

DEEPEST: Final = 6
STEP: Final = "   "


def _destination(question: Question, yes: bool) -> Branch | str:
    text = question.text.lower()
    ways = next((ways for ways in WAYS if ways.words in text), None)
    if ways is None:
        return ""
    return ways.yes if yes else ways.no


def _words(destination: Branch | str) -> str:
    return BRANCH_SENTENCE[destination] if isinstance(destination, Branch) else destination


def _leads_to(question: Question, yes: bool) -> str:
    return _words(_destination(question, yes))


def _passed_by(question: Question) -> str:
    """What to say where the way goes on although the answer leads to a branch: that branch was not proven."""
    if question.answer is Outcome.UNDECIDED:
        return ""
    destination = _destination(question, question.answer is Outcome.PRESENT)
    return f"{_words(destination)} suspected, not proven" if isinstance(destination, Branch) else ""


def _not_taken(question: Question, yes: bool, indent: str) -> Line:
    leads_to = _leads_to(question, yes)
    end = f" ── {leads_to}" if leads_to else ""
    return line(indent, Span(f"├─○ {'yes' if yes else 'no'}{end}", "dim"))


def _taken(word: str, final: str, mark: Span, indent: str) -> Line:
    end = f" ── {final}" if final else ""
    return line(indent, Span("└─", "dim"), mark, Span(f" {word}{end}", mark.style))


def _fork(question: Question, final: str, indent: str, width: int) -> list[Line]:
    bar = Span("│  ", "dim")
    room = width - len(indent) - 3
    lines = wrap([Span(clean(question.text, 160), "strong")], width, indent)
    name = clean(question.quantity.name, 100)
    number = [Span(f"{name}: "), Span(amount(question.quantity), "code")]
    body = wrap([*number, f", {against(question.quantity, question.limit)}"], room)
    if math.isnan(question.quantity.value):
        body = []  # what could not be measured is told by the reason alone
    body += wrap([Span(clean(question.because, 320), "dim")], room)
    lines += [line(indent, bar, *row) for row in body]
    if question.answer is Outcome.UNDECIDED:
        undecided = _taken("undecided", final, Span("◐", "doubt"), indent)
        return [*lines, _not_taken(question, True, indent), _not_taken(question, False, indent), undecided]
    yes = question.answer is Outcome.PRESENT
    lines.append(_not_taken(question, not yes, indent))
    lines.append(_taken("yes" if yes else "no", final, Span("●", "strong"), indent))
    return lines


def branch_style(branch: Branch) -> Style:
    """The style of a branch's name."""
    if branch is Branch.HEALTHY:
        return "well"
    return "doubt" if branch is Branch.UNDECIDED else "sick"


def tree(report: Report, width: int, indent: str = "  ") -> list[Line]:
    """Draw the way that a report took through the guide.

    Args:
        report: The report.
        width: Columns of the page.
        indent: Put before each line.

    Returns:
        For each fork the question, its number against its limit, why, and both ways; the way that
        was not taken says where it leads.
    """
    final = BRANCH_SENTENCE[report.branch_taken]
    if not report.questions:
        unfinished = "" if report.complete else ", and the examination was cut short"
        text = f"No fork was reached{unfinished}: "
        return wrap([text, Span(final, branch_style(report.branch_taken))], width, indent)
    *passed, last = report.questions
    end: Branch | str = Branch.UNDECIDED
    if last.answer is not Outcome.UNDECIDED:
        end = _destination(last, last.answer is Outcome.PRESENT)
    elsewhere = isinstance(end, Branch) and end is not report.branch_taken
    open_end = isinstance(end, str) and end and report.branch_taken is Branch.UNDECIDED
    leads_to = _words(end) if elsewhere or open_end else final
    lines: list[Line] = []
    for depth, question in enumerate(passed):
        lines += _fork(question, _passed_by(question), indent + STEP * min(depth, DEEPEST), width)
    lines += _fork(last, leads_to, indent + STEP * min(len(passed), DEEPEST), width)
    if elsewhere:
        found = Span(f"{final}.", branch_style(report.branch_taken))
        lines += [EMPTY, *wrap(["Trying it out led elsewhere: ", found], width, indent)]
    return lines
