"""A report as Markdown for a pull request: verdict, numbers, change and proof; the rest folded away.

What comes from the user's program is escaped, so that it makes no markup, link, mention or reference to an issue.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from unstuck.languages import translated
from unstuck.render.cause import OUTCOME_WORDS, gained
from unstuck.render.figures import against, amount, duration, number
from unstuck.render.guide import BRANCH_SENTENCE
from unstuck.render.lines import clean, named
from unstuck.render.page import who_changes
from unstuck.render.ruled_out import why_not
from unstuck.report import Branch, Evidence, Finding, Outcome, Report, Trial

APART: Final = "\u200b"
"""A zero-width space: keeps a mark from being read as a mention, a reference or the beginning of a link."""
ANSWERS: Final = {Outcome.PRESENT: "yes", Outcome.ABSENT: "no", Outcome.UNDECIDED: "undecided"}

_MARKUP: Final = re.compile(r"([\\`*_\[\]|~$])")
_AT_START: Final = re.compile(r"^([-+=:]|\d+(?=[.)](?:\s|$)))")
_LINKS: Final = re.compile(r"(@|#|://|www(?=\.)|GH(?=-))", re.IGNORECASE)


def escaped(text: str, longest: int = 640) -> str:
    """Foreign text as Markdown that reads the same and does nothing.

    Args:
        text: Any string.
        longest: Characters that are kept.

    Returns:
        One line without active markup, HTML, link, mention or reference.
    """
    return _escaped(clean(text, longest))


def _escaped(text: str) -> str:
    entities = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    spelled = _MARKUP.sub(r"\\\1", entities)
    spelled = _LINKS.sub(lambda found: f"{found[1]}{APART}" if found[1] != "://" else f":{APART}//", spelled)
    return _AT_START.sub(lambda found: f"{APART}{found[1]}", spelled)


def fenced(rows: Sequence[str], language: str = "") -> list[str]:
    """A block of code that nothing in it can close.

    Args:
        rows: Clean lines.
        language: Named after the fence, such as "diff".

    Returns:
        The rows between fences longer than any in them.
    """
    longest = max((len(ticks) for row in rows for ticks in re.findall(r"`+", row)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}{language}", *rows, fence]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(map(translated, row))} |" for row in (head, ["---"] * len(head), *rows)]


def _folded(summary: str, body: Sequence[str]) -> list[str]:
    return ["", "<details>", f"<summary>{translated(summary)}</summary>", "", *body, "", "</details>"] if body else []


def _number(evidence: Evidence) -> list[str]:
    limit = evidence.limit
    compared = "" if limit is None else escaped(against(evidence.quantity, limit))
    return [escaped(evidence.quantity.name), escaped(amount(evidence.quantity)), compared]


def _proof(trial: Trial) -> list[str]:
    heads = [escaped(trial.score, 80), *(f"seed {seed}" for seed in trial.seeds)]
    rows = [
        ["as given", *(number(value, 4) for value in trial.before)],
        ["with the remedy", *(number(value, 4) for value in trial.after)],
    ]
    facts = translated(f"The trial, {duration(trial.seconds)}, lower is better:")
    words = escaped(f"The remedy {gained(trial)}: {OUTCOME_WORDS[trial.outcome][0]}.")
    return ["", facts, "", *_table(heads, rows), "", words] if trial.seeds else ["", words]


def change_of(report: Report) -> list[str]:
    """What to change, as lines of Markdown: the remedy, the difference, and who makes it."""
    cause = report.cause
    if cause is None:
        return []
    lines = [] if not cause.remedy else ["", f"**{escaped(cause.remedy)}**"]
    if cause.trial is not None and cause.trial.changes:
        rows: list[str] = []
        for change in cause.trial.changes:
            field = clean(change.field, 80)
            rows += [f"@@ {clean(change.line, 80)} @@"] if change.line else []
            rows += [f"- {field} = {clean(change.before, 200)}", f"+ {field} = {clean(change.after, 200)}"]
        lines += ["", *fenced(rows, "diff")]
    return [*lines, "", translated(who_changes(report))] if lines else []


def _cause(report: Report) -> list[str]:
    cause = report.cause
    if cause is None:
        return []
    name, status = _escaped(named(cause.rule.name, 80)), translated(cause.status.value)
    lines = ["", f"**{escaped(cause.rule.code, 12)} {name}** ({status}): {escaped(cause.verdict.sentence)}"]
    if cause.evidence:
        lines += ["", *_table(["measured", "value", "limit"], [_number(each) for each in cause.evidence[:6]])]
    if cause.verdict.where:
        lines += ["", translated("Where: ") + ", ".join(escaped(place, 80) for place in cause.verdict.where[:6])]
    lines += change_of(report)
    return lines if cause.trial is None else lines + _proof(cause.trial)


def _guide(report: Report) -> list[str]:
    rows = [
        [escaped(question.text), ANSWERS[question.answer], *_number(Evidence(question.quantity, question.limit))]
        for question in report.questions
    ]
    if not rows:
        return []
    end = translated(f"It ends at: {BRANCH_SENTENCE[report.branch_taken]}.")
    return [*_table(["question", "answer", "measured", "value", "limit"], rows), "", end]


def _listed(findings: Sequence[Finding], sentence: bool) -> list[str]:
    return [
        f"- {escaped(finding.rule.code, 12)} {_escaped(named(finding.rule.name, 80))}"
        f"{'' if not sentence else f' ({translated(finding.status.value)})'}: "
        f"{escaped(finding.verdict.sentence if sentence else why_not(finding), 320)}"
        for finding in findings
    ]


def to_markdown(report: Report) -> str:
    """Write a report as GitHub-flavoured Markdown, for a comment on a pull request.

    Args:
        report: The report.

    Returns:
        Verdict, cause, change and proof, then folded sections; ends in a line break.
    """
    well = report.branch_taken is Branch.HEALTHY and not report.findings and report.complete
    lines = [f"### {'✓' if well else '✗' if report.findings else '?'} {escaped(report.sentence)}"]
    if not report.complete:
        lines += ["", translated("Cut short; the rest was not examined.")]
    if report.error and report.error != report.sentence:
        lines += ["", escaped(report.error)]
    lines += _cause(report)
    lines += _folded("The way through the guide", _guide(report))
    others, out = report.findings[1:], report.ruled_out
    lines += _folded(f"Also found ({len(others)})", _listed(others, True))
    lines += _folded(f"Ruled out ({len(out)})", _listed(out, False))
    unchecked = [f"- {escaped(each.subject, 120)}: {escaped(each.reason, 320)}" for each in report.unchecked]
    lines += _folded(f"Not checked ({len(unchecked)})", unchecked)
    versions = ", ".join(
        f"{escaped(name, 40)} {escaped(value, 40)}" for name, value in report.provenance.versions.items()
    )
    cost = report.cost
    took = [
        translated(
            f"{duration(cost.seconds)} of {duration(cost.budget)} allowed, {cost.trainings} trainings; seed"
            f" {report.provenance.seed}; {versions}"
        )
    ]
    if report.provenance.command.strip():
        took += ["", *fenced([clean(report.provenance.command)])]
    lines += _folded("What it took, and the same again", took)
    return "\n".join(lines) + "\n"
