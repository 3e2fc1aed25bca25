"""The loss surface around the end of the run: the plane of its path, and filter-normalised random directions."""

from __future__ import annotations

import math
from typing import Final

from unstuck.render.figures import number as written
from unstuck.render.figures import share
from unstuck.render.pictures.picture import (
    INK,
    SICK,
    THIRD,
    WELL,
    Picture,
    Row,
    Spec,
    finite,
    layered,
    legend,
    number,
    numbers,
    shown,
    spans_decades,
    vertical,
    within,
)
from unstuck.report import Report

WALLS: Final = 2.0
"""How far above the path the loss is drawn, in heights of the path over the lowest: walls would hide the floor."""


def plane(report: Report) -> Picture | None:
    """The loss in the plane of the run's path, with the path (Li et al., 2018, section 7).

    Args:
        report: Its chart holds the landscape.

    Returns:
        The picture; None where it was not measured.
    """
    land = within(report.chart, "Landscape")
    across, up = numbers(within(land, "across")), numbers(within(land, "up"))
    rows = [numbers(row) for row in within(land, "losses") or ()]
    path = [numbers(place) for place in within(land, "path") or ()]
    values = [value for row in rows for value in finite(row)]
    if len(across) < 2 or len(up) < 2 or len(rows) != len(up) or len(path) < 2 or len(set(values)) < 2:
        return None
    right, above = (across[1] - across[0]) / 2, (up[1] - up[0]) / 2
    walked = numbers(within(land, "heights"))
    if len(walked) != len(path) or len(finite(walked)) < len(walked):
        return None
    lowest = min(values)
    ceiling = max(walked) + WALLS * (max(walked) - lowest)
    cells: list[Row] = []
    for y, row in zip(up, rows, strict=True):
        for x, value in zip(across, row, strict=True):
            drawn = min(value, ceiling) if math.isfinite(value) else None
            cells.append({"x": x - right, "x2": x + right, "y": y - above, "y2": y + above, "value": drawn})
    scale: Spec = {"scheme": "viridis", "reverse": True}
    if spans_decades([min(value, ceiling) for value in values], 10.0):
        scale = {"type": "log", **scale}
    places: list[Row] = [
        {"step": step, "x": x, "y": y, "value": height} for (step, x, y), height in zip(path, walked, strict=True)
    ]
    ends = [{**places[0], "what": "start"}, {**places[-1], "what": "end"}]
    first = {
        "field": "x",
        "type": "quantitative",
        "title": "first principal direction of the path",
        "scale": {"nice": False, "domain": [across[0] - right, across[-1] + right]},
        "axis": {"grid": False, "tickCount": 4, "format": "~g", "labelOverlap": True},
    }
    second = {
        "field": "y",
        "type": "quantitative",
        "title": "second",
        "scale": {"nice": False, "domain": [up[0] - above, up[-1] + above]},
        "axis": {"grid": False, "tickCount": 4, "format": "~g", "labelOverlap": True},
    }
    heights: Spec = {
        "field": "value",
        "type": "quantitative",
        "title": "training loss",
        "scale": scale,
        "legend": {"orient": "top", "gradientLength": 200, "gradientThickness": 10, "format": ".4~g", "tickCount": 4},
    }
    layers: list[Spec] = [
        {
            "data": {"values": cells},
            "mark": {"type": "rect", "invalid": None},
            "encoding": {
                "x": first,
                "x2": {"field": "x2"},
                "y": second,
                "y2": {"field": "y2"},
                "color": heights,
                "tooltip": [shown("value", "training loss")],
            },
        },
        {
            "data": {"values": places},
            "mark": {
                "type": "line",
                "color": "#ffffff",
                "strokeWidth": 2.5,
                "point": {"filled": True, "color": "#ffffff", "size": 22},
            },
            "encoding": {
                "x": first,
                "y": second,
                "order": {"field": "step", "type": "quantitative"},
                "tooltip": [shown("step", "step", form=",d"), shown("value", "training loss")],
            },
        },
        {
            "data": {"values": ends},
            "mark": {
                "type": "point",
                "filled": True,
                "size": 130,
                "opacity": 1,
                "stroke": "#ffffff",
                "strokeWidth": 1.5,
            },
            "encoding": {
                "x": first,
                "y": second,
                "fill": legend("what", ("start", WELL), ("end", SICK)),
                "tooltip": [shown("what", "", "nominal"), shown("step", "step", form=",d")],
            },
        },
    ]
    spec = layered(layers, height=300, resolve={"scale": {"color": "independent"}})
    kept = share(number(within(land, "explained")))
    way = f"from {written(walked[0])} where it starts to {written(walked[-1])} at its last dot"
    caption = f"The training loss in the plane that holds {kept} of the run's way (dots): {way}"
    caption += f"; the lowest value in the plane is {written(lowest)}"
    table = tuple((step, x, y, height) for (step, x, y), height in zip(path, walked, strict=True))
    return Picture(
        "surface",
        "The loss surface, and the way over it",
        f"{caption}.",
        spec,
        ("step", "first direction", "second", "loss"),
        table,
    )


def directions(report: Report) -> Picture | None:
    """The loss along random directions whose filters have the norms of the weights' own (Li et al., 2018, section 4).

    Args:
        report: Its chart holds the landscape.

    Returns:
        The picture; None where it was not measured.
    """
    land = within(report.chart, "Landscape")
    distances = numbers(within(land, "distances"))
    lines = [numbers(line) for line in within(land, "lines") or ()]
    rows: list[Row] = [
        {"at": at, "run": f"direction {place}", "value": value}
        for place, line in enumerate(lines, 1)
        for at, value in zip(distances, line, strict=False)
        if math.isfinite(value)
    ]
    values = [row["value"] for row in rows]
    if len(distances) < 3 or len(set(values)) < 2:
        return None
    names = [f"direction {place}" for place in range(1, len(lines) + 1)]
    layers: list[Spec] = [
        {
            "mark": {"type": "line", "strokeWidth": 2, "point": {"filled": True, "size": 30}},
            "encoding": {
                "x": {
                    "field": "at",
                    "type": "quantitative",
                    "title": "distance, in norms of each filter",
                    "axis": {"tickCount": 5, "format": "~g"},
                },
                "y": vertical(values, "training loss"),
                "color": legend("run", *zip(names, (SICK, WELL, THIRD), strict=False)),
                "tooltip": [shown("run", "", "nominal"), shown("at", "distance"), shown("value", "loss")],
            },
        },
        {
            "data": {"values": [{"at": 0.0}]},
            "mark": {"type": "rule", "strokeDash": [4, 4], "color": INK, "opacity": 0.6},
            "encoding": {"x": {"field": "at", "type": "quantitative"}},
        },
    ]
    middle = min(range(len(distances)), key=lambda place: abs(distances[place]))
    base = lines[0][middle]
    far = [value for line in lines for value in (line[0], line[-1])]
    low, high = (written(value) for value in (min(far), max(far)))
    caption = f"From {written(base)} where it stands to between {low} and {high} a weight's own length away"
    caption += "; a floor that stays flat is one that small steps do not leave"
    table = tuple((row["run"], row["at"], row["value"]) for row in rows)
    spec = layered(layers, data={"values": rows})
    return Picture(
        "surface-lines",
        "The loss along random directions",
        f"{caption}.",
        spec,
        ("direction", "distance", "loss"),
        table,
    )
