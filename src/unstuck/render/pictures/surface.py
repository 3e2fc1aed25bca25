"""The loss surface where the run ends: its eigenvalues, and the loss along the way out."""

from __future__ import annotations

import math
from typing import Final

from unstuck.render.figures import number as written
from unstuck.render.pictures.picture import (
    INK,
    NEUTRAL,
    SICK,
    THIRD,
    WELL,
    Picture,
    Row,
    Spec,
    layered,
    legend,
    number,
    numbers,
    shown,
    single,
    vertical,
    within,
)
from unstuck.report import Report

BINS: Final = 40


def eigenvalues(report: Report) -> Picture | None:
    """The distribution of the Hessian's eigenvalues where the run ends.

    Args:
        report: Its chart holds the end point with its density (stochastic Lanczos quadrature).

    Returns:
        The picture; None where it was not measured.
    """
    end = within(report.chart, "EndPoint")
    density = within(end, "density")
    nodes, weights = within(density, "nodes"), within(density, "weights")
    if not (isinstance(nodes, (list, tuple)) and isinstance(weights, (list, tuple)) and nodes):
        return None
    pairs = [
        (node, weight / len(nodes))
        for these, those in zip(nodes, weights, strict=False)
        for node, weight in zip(numbers(these), numbers(those), strict=False)
        if math.isfinite(node) and math.isfinite(weight)
    ]
    low, high = min(node for node, _ in pairs), max(node for node, _ in pairs)
    if not low < high:
        return None
    width = (high - low) / BINS
    sums: dict[int, float] = {}
    for node, weight in pairs:
        place = round(node / width)  # so that zero is the middle of a bar
        sums[place] = sums.get(place, 0.0) + weight
    signs = ("negative", "about zero", "positive")
    rows: list[Row] = []
    for place, share in sorted(sums.items()):
        if share > 0:
            sign = signs[(place > 0) - (place < 0) + 1]
            edges = {"from": (place - 0.5) * width, "to": (place + 0.5) * width}
            rows.append({**edges, "value": share, "floor": 1e-6, "what": sign})
    x = {
        "field": "from",
        "type": "quantitative",
        "title": "eigenvalue of the Hessian",
        "axis": {"format": "~g", "tickCount": 6},
    }
    spec = single(
        {"type": "bar"},
        data={"values": rows},
        encoding={
            "x": x,
            "x2": {"field": "to"},
            "y": {
                "field": "value",
                "type": "quantitative",
                "title": "share of the eigenvalues",
                "scale": {"type": "log", "domainMin": 1e-6},
                "axis": {"format": "~g", "tickCount": 4},
            },
            "y2": {"field": "floor"},
            "color": legend("what", (signs[0], SICK), (signs[1], NEUTRAL), (signs[2], WELL)),
            "tooltip": [shown("from", "from"), shown("to", "to"), shown("value", "share")],
        },
    )
    smallest, largest = number(within(end, "point", "smallest")), number(within(end, "point", "largest"))
    share = 100 * number(within(end, "negative_share"))
    caption = (
        f"Curvature where the run ends: from {written(smallest)} to {written(largest)}, {share:.1f} % of it negative."
    )
    table = tuple((row["from"], row["to"], row["value"]) for row in rows)
    return Picture("eigenvalues", "Spectrum of the Hessian", caption, spec, ("from", "to", "share"), table)


def escape(report: Report) -> Picture | None:
    """The loss along the eigenvector of the smallest eigenvalue, beside what the eigenvalue predicts.

    Args:
        report: Its chart holds the end point with the line.

    Returns:
        The picture; None where it was not measured.
    """
    end = within(report.chart, "EndPoint")
    steps, losses = (numbers(within(end, "descent", key)) for key in ("steps", "losses"))
    base, bend = number(within(end, "point", "loss")), number(within(end, "point", "smallest"))
    measured = sorted((step, loss) for step, loss in zip(steps, losses, strict=False) if math.isfinite(loss))
    if len(measured) < 3 or not math.isfinite(base):
        return None
    measured = sorted([*measured, (0.0, base)])
    lowest = min(loss for _, loss in measured)
    near = [(step, loss) for step, loss in measured if loss <= base + (base - lowest)]
    measured = near if lowest < base and len(near) >= 3 else measured  # far out the walls dwarf the way out
    highest = max(loss for _, loss in measured)
    rows: list[Row] = [{"step": step, "run": "measured", "value": loss} for step, loss in measured]
    room = 0.15 * (highest - lowest)
    for step, _ in measured:
        predicted = base + 0.5 * bend * step * step
        if lowest - room <= predicted <= highest + room:
            rows.append({"step": step, "run": "predicted, ½ λ s²", "value": predicted})
    colour: Spec = {
        "field": "run",
        "type": "nominal",
        "title": None,
        "legend": {"orient": "top"},
        "scale": {"domain": ["measured", "predicted, ½ λ s²"], "range": [SICK, THIRD]},
    }
    spec = layered(
        [
            {
                "mark": {"type": "line", "point": {"filled": True, "size": 40}},
                "encoding": {
                    "x": {"field": "step", "type": "quantitative", "title": "step along the direction"},
                    "y": {**vertical([], "training loss")},
                    "color": colour,
                    "tooltip": [shown("run", "", "nominal"), shown("step", "step"), shown("value", "loss")],
                },
            },
            {
                "data": {"values": [{"step": 0.0}]},
                "mark": {"type": "rule", "strokeDash": [4, 4], "color": INK, "opacity": 0.6},
                "encoding": {"x": {"field": "step", "type": "quantitative"}},
            },
        ],
        data={"values": rows},
    )
    fall = base - lowest
    falls = f"it falls by {written(fall)} from {written(base)}"
    caption = f"The loss along the direction that bends down most (eigenvalue {written(bend)}): {falls}."
    table = tuple((row["run"], row["step"], row["value"]) for row in rows)
    return Picture("escape", "The way out", caption, spec, ("line", "step", "loss"), table)
