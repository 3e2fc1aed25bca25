"""What `treat` came to: each step with its change, and the run as given beside the run as cured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from unstuck.render import plot, tries
from unstuck.render.cause import diff, gained
from unstuck.render.figures import number
from unstuck.render.guide import branch_style
from unstuck.render.lines import EMPTY, Line, Span, cells, clean, fit, line, named, pad, wrap
from unstuck.render.page import INDENT, command_lines
from unstuck.render.text import WIDTH, plain_lines
from unstuck.render.tries import Round
from unstuck.report import Branch, Curve, Finding, Report, Trial

DEEPEST: Final = 4


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


def _scores(trial: Trial) -> str:
    """What a trial measured, before and after, and what that gains."""
    if not trial.before:
        return gained(trial)
    scores = f"{clean(trial.score, 80)} {_mean(trial.before)} → {_mean(trial.after)}"
    if len(trial.seeds) < 2:
        return f"{scores}, {gained(trial)}"
    return f"mean of {len(trial.seeds)} seeds: {scores}, {gained(trial)}"


def _mean(values: Sequence[float]) -> str:
    return number(sum(values) / len(values)) if values else "none"


def _try(finding: Finding, kept: Finding | None, width: int, indent: str) -> list[Line]:
    """A trial that was not kept: what was tried and what became of it, and its numbers below."""
    assert finding.trial is not None
    says = clean(tries.word(finding, kept))
    left = f"{named(finding.rule.code, 12)} {named(finding.rule.name)}"
    room = width - cells(indent) - 4 - cells(says) - 2
    head = line(indent, Span("├─○ ", "dim"), pad(fit(left, room), room), "  ", Span(says, "dim"))
    body = wrap([Span(_scores(finding.trial), "dim")], width - cells(indent) - 6)
    return [head, *(line(indent, Span("│     ", "dim"), *row) for row in body)]


def _kept(finding: Finding, width: int, indent: str) -> list[Line]:
    assert finding.trial is not None
    trial, inner = finding.trial, indent + "    "
    says = clean(tries.word(finding, finding))
    left = f"{named(finding.rule.code, 12)} {named(finding.rule.name)}"
    room = width - cells(inner) - cells(says) - 2
    lines = [line(indent, Span("└─● ", "strong"), Span(pad(fit(left, room), room), "sick"), "  ", Span(says, "well"))]
    lines += wrap([clean(trial.remedy, 240)], width, inner)
    lines += diff(trial.changes, width, inner)
    return lines + wrap([Span(_scores(trial), "dim")], width, inner)


def _end(one: Round, width: int, indent: str) -> list[Line]:
    """Where the tree ends: nothing more was changed, and why."""
    report, style = one.report, branch_style(one.report.branch_taken)
    inner = indent + "    "
    lines = wrap([Span(clean(report.sentence, 320), style)], width, f"{indent}└─● ", inner)
    cause = report.cause
    if cause is None:
        return lines
    if cause.trial is None:
        remedy = f"Not proven, so nothing was changed. It would be: {clean(cause.remedy, 240)}"
        return lines + wrap([remedy if cause.remedy else "No remedy was tried."], width, inner)
    return lines


def _tree(every: Sequence[Round], width: int) -> list[Line]:
    """The rounds below each other, each where the change that was kept in the one before leads."""
    lines: list[Line] = []
    for place, one in enumerate(every):
        indent = INDENT + "    " * min(place, DEEPEST)
        head = f"Round {place + 1}, with what was kept so far" if place else "Round 1, as given"
        lines.append(line(indent, Span(head, "strong")))
        shown, rest = tries.split(one.others)
        for finding in shown:
            lines += _try(finding, one.kept, width, indent)
        if rest:
            more = f"{len(rest)} others that gained less"
            lines += [line(indent, Span("├─○ ", "dim"), *row) for row in wrap([Span(more, "dim")], width - 12)]
        if one.kept is None:
            lines += _end(one, width, indent)
            continue
        lines += _kept(one.kept, width, indent)
        if one.is_last:
            lines += wrap([Span("It was not examined again, for want of time.", "dim")], width, indent + "    ")
        else:
            lines.append(EMPTY)
    return lines


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
    if cure.steps:
        lines += [EMPTY, line(Span("Step by step", "heading")), EMPTY, *_tree(tries.rounds(cure), width)]
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
