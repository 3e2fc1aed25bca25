"""Several logged runs on one page: the verdict, a table with a small curve each, what differs, and each run's signs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from unstuck.logs import RunComparison
from unstuck.render.figures import number
from unstuck.render.lines import EMPTY, Line, Span, Style, clean, fit, line, pad, right, wrap
from unstuck.report import Report

INDENT: Final = "  "
SPARKS: Final = "▁▂▃▄▅▆▇█"
CURVE: Final = 16
NAME: Final = 24


def sparkline(values: Sequence[float], low: float, high: float, columns: int = CURVE) -> str:
    """A curve in one row of blocks on a given scale; × where it is no finite number."""
    if not values:
        return ""
    picked = [
        values[min(len(values) - 1, place * len(values) // columns)] for place in range(min(columns, len(values)))
    ]
    marks = []
    for value in picked:
        part = (value - low) / (high - low) if high > low else 0.5
        known = math.isfinite(value)
        marks.append(SPARKS[min(7, max(0, round(7 * part)))] if known else "×")
    return "".join(marks)


def runs_page(comparison: RunComparison, reports: Sequence[tuple[str, Report]], width: int) -> list[Line]:
    """Lay out a comparison of runs.

    Args:
        comparison: The comparison.
        reports: The name of each run with its report.
        width: Columns of the page.

    Returns:
        The lines, none wider than `width`.
    """
    lines = wrap([Span(clean(comparison.sentence), "strong")], width)
    lines += [EMPTY, line(Span(f"By {comparison.measure}, the lowest first", "heading")), EMPTY]
    finite = [value for row in comparison.rows for value in row.curve if math.isfinite(value)]
    low, high = min(finite, default=0.0), max((row.curve[0] for row in comparison.rows if row.curve), default=1.0)
    name = min(NAME, max((len(clean(row.name)) for row in comparison.rows), default=4))
    head = f"{INDENT}{pad('run', name)}  {right('lowest', 9)}  {right('at', 8)}  {right('final', 9)}"
    head += f"  {right('quick', 8)}  {clean('curve')}"
    lines.append(line(Span(head, "dim")))
    for row in comparison.rows:
        cells = f"{number(row.best):>9}  {number(row.best_step):>8}  {number(row.final):>9}  {number(row.reached):>8}"
        lines.append(line(f"{INDENT}{pad(clean(row.name), name)}  {cells}  {sparkline(row.curve, low, high)}"))
    quick = f"quick: where it first was as low as the worst run's lowest {comparison.measure}"
    lines += wrap([Span(quick, "dim")], width, INDENT)
    if comparison.differences:
        lines += [EMPTY, line(Span("What differs in the settings", "heading")), EMPTY]
        for setting, values in comparison.differences.items():
            shown = ", ".join(fit(clean(value), 20) for value in values)
            lines += wrap([f"{fit(clean(setting), 28)}: ", Span(shown, "code")], width, INDENT, INDENT * 3)
    lines += [EMPTY, line(Span("What each shows by itself", "heading")), EMPTY]
    for title, report in reports:
        style: Style = "doubt" if report.findings else ""
        lines += wrap([f"{clean(title)}: ", Span(clean(report.sentence), style)], width, INDENT, INDENT * 3)
    lines += [EMPTY, *wrap([Span("`unstuck read PATH` with one run alone shows its whole report.", "dim")], width)]
    return lines
