"""The order of a report on the page: verdict, way through the guide, cause, change, the rest, cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from unstuck.render import plot
from unstuck.render.cause import diff, gained, measured, proof, title
from unstuck.render.figures import against, amount, duration
from unstuck.render.guide import branch_style, tree
from unstuck.render.lines import EMPTY, Line, Span, Style, cells, clean, line, pad, shorten, wrap
from unstuck.report import Applies, Branch, Finding, Outcome, Report, Status

INDENT: Final = "  "
WIDEST_SUBJECT: Final = 38
MARKS: Final[dict[Style, str]] = {"well": "✓", "sick": "✗", "doubt": "?"}

HOW_FREELY: Final = {
    Applies.SAFE: "`unstuck treat` makes this change by itself.",
    Applies.OPT_IN: "`unstuck treat` makes this change too; see first whether you want it: it is a trade.",
    Applies.ADVICE: "`unstuck` does not make this change: the line is yours to edit.",
}


def _verdict(report: Report, width: int) -> list[Line]:
    style = branch_style(report.branch_taken)
    if report.findings and report.branch_taken in {Branch.HEALTHY, Branch.UNDECIDED}:
        style = "sick" if report.findings[0].status is Status.CONFIRMED else "doubt"
    if not report.complete and style == "well":
        style = "doubt"
    lines = wrap([Span(f"{MARKS[style]} ", style), Span(clean(report.sentence), "strong")], width, "", INDENT)
    if not report.complete:
        text = "Cut short; the rest was not examined."
        lines += wrap([Span(text, "doubt")], width, INDENT)
    if report.error and report.error != report.sentence:
        lines += wrap([Span(clean(report.error), "sick")], width, INDENT)
    for note in report.notes:
        lines += wrap([Span(clean(note, 320), "dim")], width, INDENT)
    return lines


def _cause(report: Report, width: int) -> list[Line]:
    cause = report.cause
    if cause is None:
        return plot.side_by_side(report.curves[:2], [""] * len(report.curves[:2]), width, INDENT)
    lines = [title(cause, width, INDENT)]
    lines += wrap([Span(clean(cause.rule.title, 240), "strong")], width, INDENT)
    lines += wrap([clean(cause.verdict.sentence)], width, INDENT)
    lines += [EMPTY, *measured(cause, width, INDENT)] if cause.evidence or cause.verdict.where else []
    if cause.rule.why:
        lines += [EMPTY, *wrap([Span("Why it hurts: ", "strong"), clean(cause.rule.why)], width, INDENT)]
    if cause.trial is not None:
        return [*lines, EMPTY, *proof(cause.trial, width, INDENT)]
    untried = "No trial was run: this is a suspicion, not yet a cause."
    lines += [EMPTY, *wrap([Span(untried, "doubt")], width, INDENT)]
    drawn = plot.side_by_side(report.curves[:2], [""] * len(report.curves[:2]), width, INDENT)
    return [*lines, EMPTY, *drawn] if drawn else lines


def _change(report: Report, width: int) -> list[Line]:
    cause = report.cause
    if cause is None or not (cause.remedy or (cause.trial and cause.trial.changes)):
        return []
    lines = wrap([clean(cause.remedy)], width, INDENT)
    if cause.trial is not None and cause.trial.changes:
        lines += [EMPTY, *diff(cause.trial.changes, width), EMPTY]
    return lines + wrap([Span(HOW_FREELY[cause.applies], "dim")], width, INDENT)


def _relation(finding: Finding) -> str:
    if finding.explained_by:
        return f"explained by {clean(finding.explained_by, 12)}"
    if finding.alternative_to:
        return f"another way to mend {clean(finding.alternative_to, 12)}"
    return ""


def _other(finding: Finding, width: int) -> list[Line]:
    inner = INDENT * 2
    lines = [title(finding, width, INDENT), *wrap([clean(finding.verdict.sentence, 200)], width, inner)]
    tail: list[Span | str] = []
    if finding.trial is not None:
        tail.append(f"Its remedy {gained(finding.trial)}. ")
    if relation := _relation(finding):
        tail.append(Span(f"({relation}) ", "doubt"))
    if finding.remedy:
        tail.append(Span(clean(finding.remedy, 140), "dim"))
    return lines + wrap(tail, width, inner)


def _others(report: Report, width: int) -> list[Line]:
    lines: list[Line] = []
    for finding in report.findings[1:]:
        lines += [EMPTY] if lines else []
        lines += _other(finding, width)
    return lines


def _columns(subjects: Sequence[str]) -> int:
    return min(WIDEST_SUBJECT, max((cells(subject) for subject in subjects), default=0))


def _deciding_number(finding: Finding) -> str:
    trial = finding.trial
    if trial is not None and trial.outcome is Outcome.ABSENT:
        return f"its remedy {gained(trial)}"
    if not finding.evidence or math.isnan(finding.evidence[0].quantity.value):
        return finding.verdict.sentence
    evidence = finding.evidence[0]
    comparison = f" {against(evidence.quantity, evidence.limit)}," if evidence.limit is not None else ""
    return f"{amount(evidence.quantity)},{comparison} {evidence.quantity.name}"


def _ruled_out(report: Report, width: int) -> list[Line]:
    subjects = [clean(f"{finding.rule.code} {finding.rule.name}", 80) for finding in report.ruled_out]
    columns = _columns(subjects)
    room = width - len(INDENT) - columns - 2
    lines: list[Line] = []
    for subject, finding in zip(subjects, report.ruled_out, strict=True):
        number = shorten(clean(_deciding_number(finding), 160), room)
        lines.append(line(INDENT, pad(subject, columns), "  ", Span(number, "dim")))
    return lines


def _unchecked(report: Report, width: int) -> list[Line]:
    subjects = [clean(unchecked.subject, 80) for unchecked in report.unchecked]
    columns = _columns(subjects)
    lines: list[Line] = []
    hanging = " " * (len(INDENT) + columns + 2)
    for subject, unchecked in zip(subjects, report.unchecked, strict=True):
        reason = wrap([Span(clean(unchecked.reason, 240), "dim")], width, hanging)
        first, *rest = reason or [EMPTY]
        lines.append(line(INDENT, pad(subject, columns), "  ", *first[1:]))
        lines += rest
    return lines


def command_lines(command: str, width: int, indent: str) -> list[Line]:
    r"""A shell command over several lines that can be copied: each but the last ends in " \".

    Args:
        command: The command or call.
        width: Columns of the page.
        indent: Put before each line.

    Returns:
        Lines, broken between words only where a word is not itself too long.
    """
    wrapped = wrap([Span(clean(command), "code")], width - 2, indent, indent + "  ")
    return [line(*row, Span(" \\", "dim")) for row in wrapped[:-1]] + wrapped[-1:]


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _cost(report: Report, width: int) -> list[Line]:
    cost, provenance = report.cost, report.provenance
    seeds = sorted({seed for finding in report.findings if finding.trial for seed in finding.trial.seeds})
    trials = f", trials' seeds {', '.join(map(str, seeds[:8]))}" if seeds else ""
    facts = [
        f"{duration(cost.seconds)} of {duration(cost.budget)} allowed",
        f"{_plural(cost.trainings, 'training')} (one run as given: {duration(cost.run_seconds)})",
        "" if cost.first_finding is None else f"first suspicion after {duration(cost.first_finding)}",
        f"set-up's seed {provenance.seed}{trials}",
    ]
    lines = wrap(["; ".join(filter(None, facts)) + "."], width, INDENT)
    versions = [f"{clean(name, 40)} {clean(value, 40)}" for name, value in provenance.versions.items()]
    where = f"on {clean(provenance.device, 80)}, {clean(provenance.created, 40)}"
    lines += wrap([Span(clean(" ".join([", ".join(versions), where])), "dim")], width, INDENT)
    if provenance.command.strip():
        lines += [line(INDENT, "The same again:"), *command_lines(provenance.command, width, INDENT * 2)]
    return lines


def _cause_heading(report: Report) -> str:
    if report.cause is None:
        return "The run" if report.curves else ""
    return "The cause" if report.cause.status is Status.CONFIRMED else "The strongest suspicion"


def sections(report: Report, width: int) -> list[tuple[str, list[Line]]]:
    """The sections of a report under their headings, in order; empty ones are left out.

    Args:
        report: The report.
        width: Columns of the page.

    Returns:
        Heading and lines of each.
    """
    every: Sequence[tuple[str, list[Line]]] = (
        ("The way through the guide", tree(report, width, INDENT)),
        (_cause_heading(report), _cause(report, width)),
        ("What to change", _change(report, width)),
        ("Also found", _others(report, width)),
        ("Ruled out", _ruled_out(report, width)),
        ("Not checked, and why", _unchecked(report, width)),
        ("What it took", _cost(report, width)),
    )
    return [(heading, lines) for heading, lines in every if lines]


def page(report: Report, width: int) -> list[Line]:
    """Lay out a report.

    Args:
        report: The report.
        width: Columns of the page.

    Returns:
        The lines, none wider than `width`.
    """
    lines = _verdict(report, width)
    for heading, body in sections(report, width):
        lines += [EMPTY, line(Span(heading, "heading")), EMPTY, *body]
    return lines
