"""The gap in its steps, as lines: a table, and what could not be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from unstuck.quantity import Quantity
from unstuck.render.figures import number, spread
from unstuck.render.lines import EMPTY, Line, Span, clean, line, pad, right, wrap
from unstuck.report import Report

HEADING: Final = "The gap, split"
NAME: Final = "GapSplit"
FIRST: Final = 32
NUMBER: Final = 9
BAR: Final = 14


class Bar(NamedTuple):
    """One bar of a plot of the gap."""

    label: str
    value: float
    low: float | None
    high: float | None
    meaning: str


def bars(report: Report) -> tuple[Bar, ...]:
    """The steps of the gap on the loss, as any renderer can plot them.

    Args:
        report: The report; its chart holds the split where it was measured.

    Returns:
        One bar a step; none where the gap was not split.
    """
    found = report.chart.get(NAME, {})
    return tuple(
        Bar(f"{step['lower']} → {step['upper']}", loss.value, loss.low, loss.high, str(step["meaning"]))
        for step in found.get("steps", ())
        for loss in [_quantity(step["loss"])]
    )


def gap_lines(report: Report, width: int, indent: str = "  ") -> list[Line]:
    """The gap as a table.

    Args:
        report: The report.
        width: Columns of the page.
        indent: Put before each line.

    Returns:
        The lines; none where the gap was not split.
    """
    found = report.chart.get(NAME, {})
    if not found.get("steps"):
        return []
    column = min(NUMBER, (width - len(indent) - FIRST) // 3)
    lines = [_row("", "loss", "error", "samples", indent, column, "dim")]
    lines += [
        _row(part["name"], _shown(part["loss"]), _shown(part["error"]), str(part["samples"]), indent, column)
        for part in found["parts"]
    ]
    largest = max((abs(bar.value) for bar in bars(report)), default=0.0)
    for step in found["steps"]:
        loss, error = _quantity(step["loss"]), _quantity(step["error"])
        name = Span(f"{clean(step['lower'])} → {clean(step['upper'])}", "strong")
        lines += [EMPTY, line(indent, name, "  ", Span(_bar(loss.value, largest), _style(loss)))]
        amounts = f"{clean('loss')} {_signed(loss)}"
        if error.value == error.value:
            amounts += f"; {clean('error')} {_signed(error)}"
        lines += wrap([Span(amounts, "code")], width, indent * 2)
        lines += wrap([Span(clean(step["meaning"]), "dim")], width, indent * 2)
    lines.append(EMPTY)
    lines += wrap([Span(_basis(found), "dim")], width, indent)
    return lines + _untold(found.get("untold", ()), width, indent)


def _basis(found: Mapping[str, Any]) -> str:
    runs = f"{found['seeds']} runs" if found["seeds"] > 1 else "one run, so that the spread over seeds is not in it"
    text = f"95 % intervals over samples and {runs}."
    return f"{text} The error is the {found['metric']}." if found["metric"] else text


def _untold(untold: Sequence[str], width: int, indent: str) -> list[Line]:
    return [row for text in untold for row in wrap([Span(clean(f"Not told: {text}."), "dim")], width, indent)]


def _row(name: str, loss: str, error: str, samples: str, indent: str, column: int, style: Any = "") -> Line:
    cells = "".join(right(text, column) for text in map(clean, (loss, error, samples)))
    return line(indent, Span(pad(clean(name), FIRST) + cells, style))


def _number(value: Any) -> float:
    return float(value)


def _quantity(step: Mapping[str, Any]) -> Quantity:
    low, high = step.get("low"), step.get("high")
    ends = (None if low is None else _number(low)), (None if high is None else _number(high))
    return Quantity(str(step["name"]), _number(step["value"]), "1", *ends)


def _shown(value: Any) -> str:
    return "–" if _number(value) != _number(value) else number(_number(value))


def _signed(quantity: Quantity) -> str:
    sign = "+" if quantity.value > 0 else ""
    return f"{sign}{number(quantity.value)} {spread(quantity)}".rstrip()


def _style(quantity: Quantity) -> Any:
    beyond = quantity.low is not None and quantity.low > 0.0
    return "sick" if beyond else "dim"


def _bar(value: float, largest: float) -> str:
    if not (largest > 0.0 and value == value):
        return ""
    return ("█" if value > 0 else "░") * max(1, round(BAR * abs(value) / largest))
