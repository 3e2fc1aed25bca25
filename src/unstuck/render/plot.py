"""Loss curves as text: two panels of braille dots side by side, on one scale.

Each cell of a panel holds 2 × 4 dots. A curve that leaves the scale is drawn as ↑ in the top row, one
that is no longer finite as ×.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from unstuck.languages import translated
from unstuck.render.figures import number
from unstuck.render.lines import Line, Span, Style, cells, clean, fit, line, pad
from unstuck.report import Curve

ROWS: Final = 6
DOTS: Final = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
BLANK: Final = 0x2800
LOGARITHMIC_BEYOND: Final = 100.0
"""Ratio of the largest to the smallest loss beyond which a linear scale would hide the smaller."""
CLIPPED_BEYOND: Final = 10.0
"""How far above every start and every calm curve a loss may rise before it leaves the scale."""


@final
@dataclass(frozen=True, slots=True)
class Scale:
    """The vertical scale that all panels share."""

    low: float
    high: float
    logarithmic: bool

    def height(self, value: float, dots: int) -> int | None:
        """The row of dots counted from below, `dots` if it lies above the scale, None if not finite."""
        if not math.isfinite(value):
            return None
        if value > self.high:
            return dots
        low, high = self.low, self.high
        if self.logarithmic:
            value, low, high = math.log(max(value, low)), math.log(low), math.log(high)
        half = high / 2 - low / 2
        part = (value / 2 - low / 2) / half if half > 0 else 0.5
        return min(dots - 1, max(0, round(part * (dots - 1))))


def common_scale(curves: Sequence[Curve]) -> Scale:
    """The scale on which every curve can be read.

    Args:
        curves: The curves that are drawn; non-finite values are passed over.

    Returns:
        Logarithmic where the losses span more than a factor of 100, and cut off above where one
        curve diverges so that the others keep their shape.
    """
    finite = [[value for value in curve.values if math.isfinite(value)] for curve in curves]
    every = [value for values in finite for value in values]
    if not every:
        return Scale(0.0, 1.0, False)
    low, high = min(every), max(every)
    calm = max([values[0] for values in finite if values] + [min(max(values) for values in finite if values)])
    if calm > 0 and high > CLIPPED_BEYOND * calm:
        high = 2 * calm
    if low > 0 and high / low > LOGARITHMIC_BEYOND:
        return Scale(low, high, True)
    return Scale(low, high, False)


def _panel(curve: Curve, last_step: int, scale: Scale, columns: int, rows: int) -> list[str]:
    dots = 4 * rows
    grid = [[0] * columns for _ in range(rows)]
    marks: dict[int, str] = {}

    def column_of(step: int) -> int:
        part = min(1.0, max(0.0, step / last_step)) if last_step > 0 else 0.0
        return round(part * (2 * columns - 1))

    def dot(across: int, up: int) -> None:
        down = dots - 1 - up
        grid[down // 4][across // 2] |= DOTS[down % 4][across % 2]

    previous: tuple[int, int] | None = None
    for step, value in zip(curve.steps, curve.values, strict=False):
        across = column_of(step)
        up = scale.height(value, dots)
        if up is None:
            marks[across // 2] = "×"
            previous = None
            continue
        if up >= dots:
            marks.setdefault(across // 2, "↑")
        start, begin = previous or (across, up)
        level = begin
        for between in range(start, across + 1):
            part = (between - start) / (across - start) if across > start else 1.0
            aim = round(begin + part * (up - begin))
            for height in range(min(level, aim), min(dots - 1, max(level, aim)) + 1):
                dot(between, height)
            level = aim
        previous = (across, up)
    lines = ["".join(chr(BLANK + cell) if cell else " " for cell in row) for row in grid]
    top = "".join(marks.get(index, character) for index, character in enumerate(lines[0]))
    return [top, *lines[1:]]


def ends(curve: Curve) -> str:
    """The first and the last value: "2.31 → 0.041"."""
    if not curve.values:
        return "no step was taken"
    return f"{number(curve.values[0])} → {number(curve.values[-1])}"


def side_by_side(
    curves: Sequence[Curve],
    styles: Sequence[Style],
    width: int,
    indent: str = "    ",
    rows: int = ROWS,
    axis: str = "step",
) -> list[Line]:
    """Draw one or two curves in panels on the same scale.

    Args:
        curves: The curves, the sick one first.
        styles: The style of each.
        width: Columns of the page.
        indent: Put before each line.
        rows: Rows of text per panel.
        axis: What the curves run over.

    Returns:
        Title, first and last value, panel and axis of each curve; no line where no curve has a value.
    """
    shown = [(curve, style) for curve, style in zip(curves, styles, strict=True) if curve.values]
    if not shown:
        return []
    scale = common_scale([curve for curve, _ in shown])
    top, bottom = number(scale.high), number(scale.low)
    margin = max(len(top), len(bottom))
    columns = (width - len(indent) - margin - 2 - 4 * (len(shown) - 1)) // len(shown)
    columns = min(columns, 44)
    last_step = max((max(curve.steps, default=0) for curve, _ in shown), default=0)
    panels = [_panel(curve, last_step, scale, columns, rows) for curve, _ in shown]

    def row(left: str, parts: Sequence[Span], edge: str) -> Line:
        spans: list[Span | str] = [f"{indent}{left:>{margin}} "]
        for index, part in enumerate(parts):
            spans.append(Span(edge if index == 0 else f"   {edge}", "dim"))
            spans.append(part)
        return line(*spans)

    lines = [
        row("", [Span(pad(clean(curve.label), columns), "strong") for curve, _ in shown], " "),
        row("", [Span(pad(ends(curve), columns), style) for curve, style in shown], " "),
    ]
    for index in range(rows):
        left = top if index == 0 else bottom if index == rows - 1 else ""
        edge = "┤" if left else "│"
        lines.append(row(left, [Span(panel[index], shown[i][1]) for i, panel in enumerate(panels)], edge))
    rule = Span("─" * columns, "dim")
    lines.append(row("", [rule] * len(shown), "└"))
    end = fit(f"{translated(axis)} {last_step}", columns - 2)
    foot = Span("0" + " " * (columns - 1 - cells(end)) + end, "dim")
    lines.append(row("", [foot] * len(shown), " "))
    if scale.logarithmic:
        lines.append(line(f"{indent}{'':>{margin}}  ", Span("logarithmic scale", "dim")))
    return lines


def strip(rows: Sequence[tuple[str, Sequence[float], Style]], width: int, indent: str = "    ") -> list[Line]:
    """Draw scores as marks on one axis, a row per group: whether two groups overlap is seen at once.

    Args:
        rows: Name, scores and style of each group; scores that are not finite are passed over.
        width: Columns of the page.
        indent: Put before each line.

    Returns:
        A row per group and the axis below; no line where fewer than two scores are finite.
    """
    finite = [value for _, values, _ in rows for value in values if math.isfinite(value)]
    if len(finite) < 2 or min(finite) == max(finite):
        return []
    scale = common_scale([Curve(name, tuple(range(len(values))), tuple(values)) for name, values, _ in rows if values])
    margin = max(cells(clean(name)) for name, _, _ in rows) + 2
    columns = min(44, width - len(indent) - margin - 1)
    lines: list[Line] = []
    for name, values, style in rows:
        marks = [" "] * columns
        for value in values:
            place = scale.height(value, columns)
            if place is not None:
                marks[min(columns - 1, place)] = "→" if place >= columns else "●"
        lines.append(line(indent, pad(name, margin), Span("│", "dim"), Span("".join(marks), style)))
    low, high = number(scale.low, 4), number(scale.high, 4)
    between = " " * max(1, columns - len(low) - len(high))
    rule = Span("└" + "─" * columns, "dim")
    foot = f"{low}{between}{high}" + (", logarithmic" if scale.logarithmic else "")
    lines.append(line(indent, " " * margin, rule))
    return [*lines, line(indent, " " * (margin + 1), Span(fit(foot, width - len(indent) - margin - 1), "dim"))]
