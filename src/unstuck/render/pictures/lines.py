"""Lines over the steps of a run, thinned, with hover, zoom and a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from unstuck.render.pictures.picture import (
    HOVER,
    Row,
    Spec,
    layered,
    legend,
    shown,
    thinned,
    vertical,
)

MOST_POINTS: Final = 240
MOST_ROWS: Final = 12

ZOOM: Final[Spec] = {
    "name": "view",
    "select": {
        "type": "interval",
        "zoom": "wheel![event.shiftKey]",
        "translate": "[pointerdown[event.pointerType === 'mouse'], window:pointerup] > window:pointermove!",
    },
    "bind": "scales",
}
"""Shift and wheel zoom, the mouse drags, a double click goes back; a finger and a bare wheel scroll the page."""


def runs_toggle(field: str = "run") -> Spec:
    """A click in the legend shows one run alone."""
    return {"name": "chosen", "select": {"type": "point", "fields": [field]}, "bind": "legend"}


FAINT_OTHERS: Final[Spec] = {"condition": {"param": "chosen", "value": 1}, "value": 0.15}


def thinned_run(run: str, steps: Sequence[float], values: Sequence[float]) -> list[Row]:
    """A run thinned to stretches, each with its mean, lowest and highest value; a stretch that is no number ends it."""
    rows: list[Row] = []
    for stretch in thinned(min(len(steps), len(values)), MOST_POINTS):
        part = [values[place] for place in stretch]
        if not all(map(math.isfinite, part)):
            break
        mean = sum(part) / len(part)
        rows.append({"run": run, "step": steps[stretch[0]], "value": mean, "low": min(part), "high": max(part)})
    return rows


def line_chart(rows: list[Row], runs: Sequence[str], colours: Sequence[str], axis: str, extra: list[Spec]) -> Spec:
    """Lines with bands, zoom and hover.

    Args:
        rows: As made by `thinned_run`, of all runs.
        runs: Their names.
        colours: One a run at least.
        axis: What the vertical axis shows.
        extra: Layers on top.

    Returns:
        The specification.
    """
    values = [row[end] for row in rows for end in ("low", "high")]
    tips = [shown("run", "run", "nominal"), shown("step", "step", form=",d"), shown("value", axis)]
    encoding: Spec = {
        "x": {"field": "step", "type": "quantitative", "title": "step", "axis": {"format": "~s", "tickCount": 6}},
        "y": vertical(values, axis),
        "color": legend("run", *zip(runs, colours, strict=False)),
        "opacity": FAINT_OTHERS,
    }
    edges = {"y": {**encoding["y"], "field": "low"}, "y2": {"field": "high"}, "opacity": {"value": 0.2}}
    band = {"mark": {"type": "area", "clip": True}, "encoding": {**encoding, **edges}}
    line = {
        "name": "lines",  # by which Altair, which keeps all selections in one place, knows whose each is
        "mark": {"type": "line", "clip": True, "strokeWidth": 2, "point": len(rows) <= 12 * len(runs)},
        "encoding": {**encoding, "tooltip": tips},
        "params": [ZOOM, runs_toggle()],
    }
    near = {"condition": {"param": "near", "empty": False, "value": 1}, "value": 0}
    select = {"type": "point", "on": "pointerover", "nearest": True, "clear": "pointerout"}
    hover = {
        "name": HOVER,
        "mark": {"type": "point", "size": 60, "filled": True, "clip": True},
        "params": [{"name": "near", "select": select}],
        "encoding": {**encoding, "opacity": near, "tooltip": tips},
    }
    return layered([band, line, hover, *extra], data={"values": rows})


def without_legend(spec: Spec) -> Spec:
    """The same with one run only, which needs no legend."""
    for layer in spec["layer"]:
        layer["encoding"]["color"] = {**layer["encoding"]["color"], "legend": None}
        layer["params"] = [one for one in layer.get("params", []) if one["name"] != "chosen"]
        if "condition" in layer["encoding"]["opacity"] and layer["encoding"]["opacity"] == FAINT_OTHERS:
            layer["encoding"]["opacity"] = {"value": 1}
    return spec


def run_table(rows: list[Row], runs: Sequence[str]) -> tuple[tuple[str | float, ...], ...]:
    """A dozen rows of each run, the last one among them."""
    table: list[tuple[str | float, ...]] = []
    for run in runs:
        those = [row for row in rows if row["run"] == run]
        for stretch in thinned(len(those), MOST_ROWS):
            row = those[stretch[0]]
            table.append((run, row["step"], row["value"], row["low"], row["high"]))
        if those and table[-1][1] != those[-1]["step"]:
            last = those[-1]
            table.append((run, last["step"], last["value"], last["low"], last["high"]))
    return tuple(table)


HEADINGS: Final = ("run", "step", "loss", "lowest", "highest")
