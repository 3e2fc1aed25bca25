"""What a picture is: a Vega-Lite specification with its title, what it says in words, and its numbers as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from unstuck.render.lines import clean

SCHEMA: Final = "https://vega.github.io/schema/vega-lite/v6.json"
SICK: Final = "#d9570f"
"""Orange and blue can be told apart by the colour-blind, and stand out on white and on black (3 : 1 at least)."""
WELL: Final = "#2a83c4"
THIRD: Final = "#8a6fc9"
FOURTH: Final = "#3f9a63"
NEUTRAL: Final = "#848d97"
COLOURS: Final = (SICK, WELL, THIRD, FOURTH, NEUTRAL)
INK: Final = "currentColor"
HOVER: Final = "hover"
"""The layer that only the pointer brings to light."""

WIDTH: Final = 560
HEIGHT: Final = 240
LONGEST_NAME: Final = 60

Chart = Mapping[str, Any]
"""The measurements of a report by name, as plain data."""
Row = dict[str, Any]
Spec = dict[str, Any]


@final
@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of one stored measurement.

    Attributes:
        name: What `report.plot` calls it, such as "curves".
        title: What it shows, as a noun phrase.
        caption: What there is to see, in a sentence with the number that matters.
        spec: A Vega-Lite specification, version 6, without width and theme.
        headings: Heads of the table.
        rows: The numbers that are drawn, thinned, for readers who cannot see them; `[R][len(headings)]`.
        switchable: Whether the vertical axis can be switched between linear and logarithmic.
    """

    name: str
    title: str
    caption: str
    spec: Spec
    headings: tuple[str, ...] = ()
    rows: tuple[tuple[str | float, ...], ...] = ()
    switchable: bool = False


def word(text: object) -> str:
    """A name from the user's program, fit for a label."""
    return clean(str(text), LONGEST_NAME)


def numbers(values: object) -> tuple[float, ...]:
    """Stored numbers as floats; what is none becomes NaN, and what is no list is empty."""
    if not isinstance(values, (list, tuple)):
        return ()
    return tuple(number(value) for value in values)


def number(value: object) -> float:
    """A stored number as a float; NaN where it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def records(values: object) -> tuple[Mapping[str, Any], ...]:
    """Stored records; what is no record is passed over."""
    if not isinstance(values, (list, tuple)):
        return ()
    return tuple(value for value in values if isinstance(value, Mapping))


def within(chart: object, *path: str) -> Any:
    """What a chart holds under some names, one inside the other; None where there is no such thing."""
    for name in path:
        if not isinstance(chart, Mapping):
            return None
        chart = chart.get(name)
    return chart


def finite(values: Sequence[float]) -> list[float]:
    """Those that are numbers."""
    return [value for value in values if math.isfinite(value)]


def spans_decades(values: Sequence[float], factor: float = 50.0) -> bool:
    """Whether positive numbers spread so far that a linear axis would hide the smaller ones."""
    those = finite(values)
    return bool(those) and min(those) > 0 and max(those) / min(those) > factor


def vertical(values: Sequence[float], title: str, **more: Any) -> Spec:
    """A vertical axis for numbers, logarithmic where they span decades."""
    scale: Spec = {"type": "log"} if spans_decades(values) else {"zero": False}
    axis = {"format": ".4~g", "tickCount": 6}
    return {
        "field": "value",
        "type": "quantitative",
        "title": title,
        "scale": {**scale, "nice": True},
        "axis": axis,
        **more,
    }


def numbered(title: str) -> Spec:
    """The horizontal channel of a picture whose rows are numbered, in their field "at"."""
    return {"field": "at", "type": "quantitative", "title": title, "axis": {"format": "d", "tickMinStep": 1}}


def layered(layers: list[Spec], **more: Any) -> Spec:
    """A specification of several layers."""
    return {"$schema": SCHEMA, "width": WIDTH, "height": HEIGHT, **more, "layer": layers}


def single(mark: Spec, **more: Any) -> Spec:
    """A specification of one mark."""
    return {"$schema": SCHEMA, "width": WIDTH, "height": HEIGHT, "mark": mark, **more}


def legend(field: str, *pairs: tuple[str, str]) -> Spec:
    """Colours with their names above the picture.

    Args:
        field: What the colours stand for.
        pairs: Each name with its colour.

    Returns:
        The encoding of the colour.
    """
    scale = {"domain": [name for name, _ in pairs], "range": [colour for _, colour in pairs]}
    return {"field": field, "type": "nominal", "title": None, "legend": {"orient": "top"}, "scale": scale}


def shown(field: str, title: str, kind: str = "quantitative", form: str = ".3~g") -> Spec:
    """One line of a tooltip."""
    line: Spec = {"field": field, "title": title, "type": kind}
    return {**line, "format": form} if kind == "quantitative" else line


def thinned(count: int, most: int) -> list[range]:
    """Cut `count` places into at most `most` stretches of equal length, the last one perhaps shorter."""
    width = max(1, math.ceil(count / most))
    return [range(start, min(count, start + width)) for start in range(0, count, width)]


__all__ = ["Picture"]
