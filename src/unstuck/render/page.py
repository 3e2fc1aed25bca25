"""The order of a report on the page: verdict, way through the guide, cause, change, the rest, cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from unstuck.languages import marked
from unstuck.render import floor, plot
from unstuck.render.cause import STATUS_STYLE, UNTRIED, diff, gained, measured, proof, shows_what_counts, title
from unstuck.render.figures import duration
from unstuck.render.gap import HEADING, gap_lines
from unstuck.render.guide import branch_style, tree
from unstuck.render.lines import EMPTY, Line, Span, Style, cells, clean, line, pad, wrap
from unstuck.render.ruled_out import ruled_out_lines
from unstuck.report import Applies, Branch, Finding, Report, Status

INDENT: Final = "  "
MARKS: Final[dict[Style, str]] = {"well": "✓", "sick": "✗", "doubt": "?"}

HOW_FREELY: Final = {
    Applies.SAFE: "`unstuck treat` makes this change by itself.",
    Applies.OPT_IN: "`unstuck treat` makes this change too; see first whether you want it: it is a trade.",
    Applies.ADVICE: "`unstuck` does not make this change: the line is yours to edit.",
}

UNPROVEN: Final = "Not proven: `unstuck treat` makes only changes that a trial has shown to help."

OF_A_SCRIPT: Final = (
    "The line is yours to edit; `unstuck init` writes the script's set-up into a file, in which `unstuck treat` makes "
    "the change by itself."
)


def who_changes(report: Report) -> str:
    """Who makes the change that the cause asks for.

    Args:
        report: The report, with a cause.

    Returns:
        A sentence.
    """
    cause = report.cause
    if cause is None or cause.status is not Status.CONFIRMED:
        return UNPROVEN
    is_script = report.provenance.command.startswith("unstuck run ")
    return OF_A_SCRIPT if is_script and cause.applies is not Applies.ADVICE else HOW_FREELY[cause.applies]


def verdict(report: Report, width: int) -> list[Line]:
    """The verdict in one sentence, and what to know of the examination.

    Args:
        report: The report.
        width: Columns of the page.

    Returns:
        The lines that head the page.
    """
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
        lines += wrap([Span(_as_sentence(clean(note, 320)), "dim")], width, INDENT)
    return lines


def _as_sentence(note: str) -> str:
    return f"{note[:1].upper()}{note[1:]}{'' if note.endswith(('.', '…')) else '.'}"


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
        lines += [EMPTY, *proof(cause.trial, width, INDENT)]
        return lines if shows_what_counts(cause.trial) else [*lines, *_run(report, width)]
    lines += [EMPTY, *wrap([Span(UNTRIED[cause.status], STATUS_STYLE[cause.status])], width, INDENT)]
    return lines + _run(report, width)


def _run(report: Report, width: int) -> list[Line]:
    """The curves of the run as given."""
    curves = [replace(curve, label=f"as given, {curve.label}") for curve in report.curves[:2]]
    drawn = plot.side_by_side(curves, [""] * len(curves), width, INDENT)
    return [EMPTY, *drawn] if drawn else []


def _change(report: Report, width: int) -> list[Line]:
    cause = report.cause
    if cause is None or not (cause.remedy or (cause.trial and cause.trial.changes)):
        return []
    lines = wrap([clean(cause.remedy)], width, INDENT)
    if cause.trial is not None and cause.trial.changes:
        lines += [EMPTY, *diff(cause.trial.changes, width), EMPTY]
    return lines + wrap([Span(who_changes(report), "dim")], width, INDENT)


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


def _listed(subject: str, text: str, width: int) -> list[Line]:
    return wrap([f"{clean(subject)}: ", Span(clean(text, 320), "dim")], width, INDENT, INDENT * 3)


def _unchecked(report: Report, width: int) -> list[Line]:
    """What was not checked, each reason once."""
    subjects: dict[str, list[str]] = {}
    for unchecked in report.unchecked:
        subjects.setdefault(unchecked.reason, []).append(clean(unchecked.subject, 80))
    lines: list[Line] = []
    for reason, those in subjects.items():
        lines += _listed(", ".join(those), _as_sentence(reason), width)
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


def _seeds(report: Report) -> str:
    seeds = sorted({seed for finding in report.findings if finding.trial for seed in finding.trial.seeds})
    trials = f"; {', '.join(map(str, seeds[:8]))} in the trial{'' if len(seeds) == 1 else 's'}" if seeds else ""
    return f"{report.provenance.seed} as given{trials}"


def _cost(report: Report, width: int) -> list[Line]:
    cost, provenance = report.cost, report.provenance
    first = "" if cost.first_finding is None else f", the first suspicion after {duration(cost.first_finding)}"
    runs = f"{cost.trainings or 'none'} of remedies and their controls"
    versions = [f"{clean(name, 40)} {clean(value, 40)}" for name, value in provenance.versions.items()]
    rows = {
        marked("time"): f"{duration(cost.seconds)} of {duration(cost.budget)} allowed{first}",
        marked("trainings"): f"{runs}; one run as given takes {duration(cost.run_seconds)}",
        marked("seeds"): _seeds(report),
        marked("versions"): ", ".join(versions),
        "where, when": f"{clean(provenance.device, 80)}, {clean(provenance.created, 40)}",
    }
    if math.isnan(cost.run_seconds):  # judged by its log: nothing was run
        rows |= {"time": f"{duration(cost.seconds)}; nothing was trained", "trainings": "", "seeds": ""}
    columns = max(cells(clean(name)) for name in rows) + 2
    hanging = INDENT + " " * columns
    lines: list[Line] = []
    for name, value in rows.items():
        for index, row in enumerate(wrap([value], width - len(hanging))):
            lines.append(line(INDENT + pad("" if index else name, columns), *row))
    if provenance.command.strip():
        lines += [line(INDENT, "The same again:"), *command_lines(provenance.command, width, INDENT * 2)]
    return lines


def _cause_heading(report: Report) -> str:
    if report.cause is None:
        return "The run" if report.curves else ""
    return "The cause" if report.cause.status is Status.CONFIRMED else "The strongest suspicion"


def _is_proven(report: Report) -> bool:
    return report.cause is not None and report.cause.status is Status.CONFIRMED


def sections(report: Report, width: int, every_number: bool = False) -> list[tuple[str, list[Line]]]:
    """The sections of a report under their headings, in order; empty ones are left out.

    Args:
        report: The report.
        width: Columns of the page.
        every_number: All that was ruled out in full, not the tellingest only.

    Returns:
        Heading and lines of each.
    """
    every: Sequence[tuple[str, list[Line]]] = (
        ("The way through the guide", tree(report, width, INDENT)),
        (HEADING, gap_lines(report, width, INDENT)),
        (floor.HEADING, floor.floor_lines(report, width, INDENT)),
        (_cause_heading(report), _cause(report, width)),
        ("What to change" if _is_proven(report) else "What to try", _change(report, width)),
        ("Also found", _others(report, width)),
        ("Ruled out", ruled_out_lines(report.ruled_out, width, INDENT, every_number)),
        ("Not checked, and why", _unchecked(report, width)),
        ("What it took", _cost(report, width)),
    )
    return [(heading, lines) for heading, lines in every if lines]


def page(report: Report, width: int, every_number: bool = False) -> list[Line]:
    """Lay out a report.

    Args:
        report: The report.
        width: Columns of the page.
        every_number: All that was ruled out in full, not the tellingest only.

    Returns:
        The lines, none wider than `width`.
    """
    lines = verdict(report, width)
    for heading, body in sections(report, width, every_number):
        lines += [EMPTY, line(Span(heading, "heading")), EMPTY, *body]
    return lines
