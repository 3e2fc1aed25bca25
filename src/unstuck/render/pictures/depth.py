"""Layers over depth: signal, gradient and idle units, before and after training."""

from __future__ import annotations

import math

from unstuck.render.figures import number as written
from unstuck.render.pictures.layers import MOST_LAYERS, unlike
from unstuck.render.pictures.picture import (
    NEUTRAL,
    SICK,
    WELL,
    Picture,
    Row,
    number,
    records,
    shown,
    single,
    spans_decades,
    thinned,
    within,
    word,
)
from unstuck.report import Report


def depth(report: Report) -> Picture | None:
    """The signal over depth before training, beside that of the same model drawn by He's or Xavier's rule."""
    says = "Spread of the signal over samples, before training"
    return _profile(report, "depth-signal", "The signal over depth", says, "signal", "sound_signal")


def backward_depth(report: Report) -> Picture | None:
    """The gradient over depth before training, beside that of the same model drawn soundly."""
    says = "Gradient with respect to each layer's outputs, before training"
    return _profile(report, "depth-gradient", "The gradient over depth", says, "gradient", "sound_gradient")


def _profile(report: Report, name: str, title: str, says: str, own: str, sound: str) -> Picture | None:
    states = records(within(report.chart, "DepthProfile", "layers"))
    if len(states) < 2:
        return None
    names: list[str] = []
    rows: list[Row] = []
    given, he = "as given", "drawn by He or Xavier"
    table: list[tuple[str | float, ...]] = []
    for stretch in thinned(len(states), MOST_LAYERS):
        state = states[stretch[0]]
        names.append(unlike(word(state.get("name")), names))
        table.append((names[-1], number(state.get(own)), number(state.get(sound))))
        for run, key in ((given, own), (he, sound)):
            value = number(state.get(key))
            if math.isfinite(value) and value > 0:
                rows.append({"layer": names[-1], "run": run, "value": value})
    values = [row["value"] for row in rows]
    if len({row["layer"] for row in rows}) < 2:
        return None
    colour = {
        "field": "run",
        "type": "nominal",
        "title": None,
        "legend": {"orient": "top"},
        "scale": {"domain": [given, he], "range": [SICK, WELL]},
    }
    spec = single(
        {"type": "line", "point": {"filled": True, "size": 60}, "strokeWidth": 2},
        data={"values": rows},
        encoding={
            "x": {
                "field": "layer",
                "type": "ordinal",
                "sort": None,
                "title": "layer, the first at the left",
                "axis": {"labelOverlap": True, "labelLimit": 90, "labelAngle": 0 if len(names) <= 6 else -45},
            },
            "y": {
                "field": "value",
                "type": "quantitative",
                "title": None,
                "scale": {"type": "log"} if spans_decades(values, 10.0) else {"zero": True},
                "axis": {"tickCount": 5, "format": ".2~e" if spans_decades(values, 1e3) else ".2~g"},
            },
            "color": colour,
            "tooltip": [shown("layer", "layer", "nominal"), shown("run", "weights", "nominal"), shown("value", title)],
        },
    )
    own_values = [row["value"] for row in rows if row["run"] == given]
    caption = (
        f"{says}: from {written(own_values[0])} in the first layer to {written(own_values[-1])} in the last"
        if own_values
        else says
    )
    return Picture(name, title, f"{caption}.", spec, ("layer", given, he), tuple(table), switchable=True)


def units(report: Report) -> Picture | None:
    """Dead and saturated units of every activation, before and after training.

    Args:
        report: Its chart holds the activations.

    Returns:
        The picture; None where no unit is dead or saturated.
    """
    rows: list[Row] = []
    table: list[tuple[str | float, ...]] = []
    moments = (("before training", "DepthProfile"), ("after training", "TrainedDepth"))
    for when, kind in moments:
        names: list[str] = []
        for state in records(within(report.chart, kind, "activations"))[:MOST_LAYERS]:
            names.append(unlike(f"{word(state.get('name'))} {word(state.get('function'))}", names))
            dead, saturated = number(state.get("dead")), number(state.get("saturated"))
            share, what = (saturated, "saturated") if saturated > dead else (dead, "dead")
            if math.isfinite(share):
                rows.append({"layer": names[-1], "when": when, "value": share, "what": what})
                table.append((names[-1], when, dead, saturated))
    if not rows or max(row["value"] for row in rows) < 0.01:
        return None
    order = [when for when, _ in moments]
    layers = list(dict.fromkeys(row["layer"] for row in rows))
    spec = single(
        {"type": "bar"},
        height=max(60, min(420, 38 * len(layers))),
        data={"values": rows},
        encoding={
            "y": {
                "field": "layer",
                "type": "nominal",
                "sort": None,
                "title": None,
                "axis": {"labelLimit": 130, "ticks": False},
            },
            "yOffset": {"field": "when", "type": "nominal", "sort": order},
            "x": {
                "field": "value",
                "type": "quantitative",
                "title": "share of the units that no longer respond",
                "axis": {"format": ".0%", "tickCount": 5},
                "scale": {"domain": [0, 1]},
            },
            "color": {
                "field": "when",
                "type": "nominal",
                "sort": order,
                "title": None,
                "legend": {"orient": "top"},
                "scale": {"domain": order, "range": [NEUTRAL, SICK]},
            },
            "tooltip": [
                shown("layer", "activation", "nominal"),
                shown("when", "when", "nominal"),
                shown("what", "units", "nominal"),
                shown("value", "share", form=".1%"),
            ],
        },
    )
    worst = max(rows, key=lambda row: row["value"])
    at_most = f"at most {100 * worst['value']:.0f} %, in {worst['layer']}, {worst['when']}"
    caption = f"Units that give zero on every sample, or are driven into saturation: {at_most}."
    return Picture(
        "units", "Dead and saturated units", caption, spec, ("activation", "when", "dead", "saturated"), tuple(table)
    )
