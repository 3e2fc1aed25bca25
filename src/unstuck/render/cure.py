"""What `treat` came to: each step with its change, and the run as given beside the run as cured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from unstuck.render import plot
from unstuck.render.cause import diff, gained, title
from unstuck.render.figures import number
from unstuck.render.guide import branch_style
from unstuck.render.lines import EMPTY, Line, Span, clean, line, wrap
from unstuck.render.page import INDENT, command_lines
from unstuck.render.text import WIDTH, plain_lines
from unstuck.report import Branch, Curve, Report


class CureRecord(Protocol):
    """What rendering needs of a cure."""

    @property
    def steps(self) -> tuple[Report, ...]:
        """The report of each round; the last is the re-examination."""

    @property
    def before(self) -> tuple[float, ...]:
        """Losses per epoch of the set-up as given."""

    @property
    def after(self) -> tuple[float, ...]:
        """Losses per epoch of the set-up as cured."""

    @property
    def sentence(self) -> str:
        """What came of it, in one sentence."""


def _is_well(cure: CureRecord) -> bool:
    return bool(cure.steps) and cure.steps[-1].branch_taken is Branch.HEALTHY and not cure.steps[-1].findings


def _step(index: int, report: Report, width: int) -> list[Line]:
    inner = INDENT + "   "
    cause = report.cause
    if cause is None:
        style = branch_style(report.branch_taken)
        return wrap([Span(clean(report.sentence, 320), style)], width, f"{INDENT}{index}  ", inner)
    head = Span(f"{index}  ", "strong")
    lines = [line(INDENT, head, *title(cause, width - len(inner), ""))]
    trial = cause.trial
    if trial is None:
        remedy = f"Not proven, so nothing was changed. It would be: {clean(cause.remedy, 240)}"
        return lines + wrap([remedy if cause.remedy else "No remedy was tried."], width, inner)
    lines += wrap([clean(trial.remedy, 240)], width, inner)
    lines += diff(trial.changes, width, inner)
    seeds = f"mean of {len(trial.seeds)} seeds; " if len(trial.seeds) > 1 else ""
    scores = f"{clean(trial.score, 80)} {_mean(trial.before)} → {_mean(trial.after)}, {seeds}{gained(trial)}"
    return lines + wrap([Span(scores, "dim")], width, inner)


def _mean(values: Sequence[float]) -> str:
    return number(sum(values) / len(values)) if values else "none"


def _curve(label: str, losses: Sequence[float]) -> Curve:
    return Curve(label, tuple(range(len(losses))), tuple(losses))


def cure_page(cure: CureRecord, width: int) -> list[Line]:
    """Lay out a cure.

    Args:
        cure: What `treat` returned.
        width: Columns of the page.

    Returns:
        Verdict, steps, both curves on one scale, what is left; no line wider than `width`.
    """
    mark = Span("✓ ", "well") if _is_well(cure) else Span("? ", "doubt")
    lines = wrap([mark, Span(clean(cure.sentence), "strong")], width, "", INDENT)
    heading = Span("Step by step", "heading")
    for index, report in enumerate(cure.steps, start=1):
        lines += [EMPTY, line(heading), EMPTY] if index == 1 else [EMPTY]
        lines += _step(index, report, width)
    curves = [_curve("as given", cure.before), _curve("as cured", cure.after)]
    drawn = plot.side_by_side(curves, ["sick", "well"], width, INDENT, axis="epoch")
    if cure.before == cure.after and any(report.cause for report in cure.steps[:-1]):
        same = "The run itself is as it was: what was treated lies outside it."
        lines += [EMPTY, *wrap([Span(same, "dim")], width, INDENT)]
    elif drawn:
        lines += [EMPTY, line(Span("The loss before and after", "heading")), EMPTY, *drawn]
    if cure.steps and cure.steps[0].provenance.command.strip():
        command = command_lines(cure.steps[0].provenance.command, width, INDENT)
        lines += [EMPTY, line(Span("The same again", "heading")), EMPTY, *command]
    return lines


def plain_cure(cure: CureRecord, width: int = WIDTH) -> str:
    """Write a cure without colour.

    Args:
        cure: What `treat` returned.
        width: Columns.

    Returns:
        Text that ends in a line break.
    """
    return plain_lines(cure_page(cure, width))
