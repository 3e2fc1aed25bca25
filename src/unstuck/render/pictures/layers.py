"""Layers: heat maps over the run, and profiles over depth before and after training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from unstuck.render.figures import number as written
from unstuck.render.pictures.picture import (
    NEUTRAL,
    SICK,
    WELL,
    Picture,
    Row,
    Spec,
    finite,
    layered,
    number,
    numbers,
    records,
    shown,
    single,
    spans_decades,
    thinned,
    within,
    word,
)
from unstuck.report import Report

MOST_LAYERS: Final = 60
MOST_MOMENTS: Final = 60
LEAST: Final = 1e-30

Trace = Mapping[str, Any]


def _ratio(above: Sequence[float], below: Sequence[float]) -> list[float]:
    return [up / down if down > 0 else math.nan for up, down in zip(above, below, strict=False)]


def _gradient(trace: Trace) -> list[float]:
    return _ratio(numbers(trace.get("gradient_norm")), numbers(trace.get("weight_norm")))


def _update(trace: Trace) -> list[float]:
    return _ratio(numbers(trace.get("update_norm")), numbers(trace.get("weight_norm")))


def _zeros(trace: Trace) -> list[float]:
    return list(numbers(trace.get("output_zero_share")))


def _signal(trace: Trace) -> list[float]:
    return list(numbers(trace.get("output_rms")))


def _typical(values: Sequence[float], logarithmic: bool) -> float:
    """What stands for several numbers: their geometric mean on a logarithmic scale, else their mean."""
    those = [value for value in values if math.isfinite(value) and (value > 0 or not logarithmic)]
    if not those:
        return math.nan
    if logarithmic:
        return math.exp(sum(math.log(max(value, LEAST)) for value in those) / len(those))
    return sum(those) / len(those)


def heat_map(
    report: Report, name: str, title: str, says: str, of: Callable[[Trace], list[float]], logarithmic: bool
) -> Picture | None:
    """A quantity of every layer over the run; neighbouring layers and steps are joined where there are many.

    Args:
        report: Its chart holds the run with its layers.
        name: What `report.plot` calls it.
        title: What it shows.
        says: What to look for.
        of: A layer's quantity at each sampled step.
        logarithmic: Whether the colours run over decades.

    Returns:
        The picture; None where it was not watched, or is the same everywhere.
    """
    record = within(report.chart, "History", "record")
    moments = numbers(within(record, "sampled_steps"))
    traces = [trace for trace in records(within(record, "layers")) if number(trace.get("depth")) >= 0]
    traces = sorted(traces, key=lambda trace: number(trace.get("depth")))
    traces = [trace for trace in traces if finite(of(trace))]
    if not traces or len(moments) < 2:
        return None
    columns = thinned(len(moments), MOST_MOMENTS)
    steps = [f"{moments[stretch[0]]:.0f}" for stretch in columns]
    names: list[str] = []
    cells: list[list[float | None]] = []
    for stretch in thinned(len(traces), MOST_LAYERS):
        first, last = word(traces[stretch[0]].get("name")), word(traces[stretch[-1]].get("name"))
        names.append(_unlike(first if len(stretch) == 1 else f"{first} … {last}", names))
        these = [of(traces[place]) for place in stretch]
        row: list[float | None] = []
        for column in columns:
            value = _typical([one[at] for one in these for at in column if at < len(one)], logarithmic)
            row.append(float(f"{value:.3g}") if math.isfinite(value) else None)
        cells.append(row)
    every = [value for row in cells for value in row if value is not None]
    if len(set(every)) < 2:
        return None
    scale: Spec = {"scheme": "viridis"}
    if logarithmic and spans_decades([value for value in every if value > 0], 10.0):
        scale = {"type": "log", **scale}
    data = [{"layer": layer, "step": steps, "value": row} for layer, row in zip(names, cells, strict=True)]
    spec = single(
        {"type": "rect", "invalid": None},
        height=max(60, min(380, 26 * len(names))),
        data={"values": data},
        transform=[{"flatten": ["step", "value"]}],
        encoding={
            "x": {
                "field": "step",
                "type": "ordinal",
                "sort": None,
                "title": "step",
                "axis": {"labelOverlap": True, "labelAngle": 0, "ticks": False, "domain": False},
            },
            "y": {
                "field": "layer",
                "type": "nominal",
                "sort": None,
                "title": None,
                "axis": {"labelOverlap": True, "labelLimit": 130, "ticks": False, "domain": False},
            },
            "color": {
                "field": "value",
                "type": "quantitative",
                "title": None,
                "scale": scale,
                "legend": {
                    "orient": "top",
                    "gradientLength": 200,
                    "gradientThickness": 10,
                    "format": ".1~e" if logarithmic else ".0%",
                    "tickCount": 3,
                },
            },
            "tooltip": [shown("layer", "layer", "nominal"), shown("step", "step", "nominal"), shown("value", title)],
        },
    )
    table: list[tuple[str | float, ...]] = []
    for layer, cell in zip(names, cells, strict=True):
        table.append((layer, *(_of(cell[place]) for place in _ends(len(steps)))))
    heads = ("layer", *(f"step {steps[place]}" for place in _ends(len(steps))))
    largest, smallest = max(every), min(every)
    caption = f"{says} It runs from {written(smallest)} to {written(largest)}; the first layer is at the top."
    return Picture(name, title, caption, spec, heads, tuple(table))


def _unlike(name: str, others: Sequence[str]) -> str:
    """A name that none of the others has."""
    count, unlike = 1, name
    while unlike in others:
        count += 1
        unlike = f"{name} ({count})"
    return unlike


def _of(value: float | None) -> float:
    return math.nan if value is None else value


def _ends(count: int) -> list[int]:
    return sorted({0, count // 2, count - 1})


def gradients(report: Report) -> Picture | None:
    """Gradient over weight norm of every layer over the run."""
    says = "Gradient norm over weight norm: a row that stays dark gets next to no gradient."
    return heat_map(report, "layer-gradients", "Gradient, layer by layer", says, _gradient, True)


def updates(report: Report) -> Picture | None:
    """Update over weight norm of every layer over the run."""
    says = "Size of each step over that of the weights: near 1 a layer is thrown about, near 0 it stands still."
    return heat_map(report, "layer-updates", "Update over weight, layer by layer", says, _update, True)


def zeros(report: Report) -> Picture | None:
    """Share of exact zeros in every layer's output over the run."""
    says = "Share of a layer's outputs that are exactly zero."
    return heat_map(report, "layer-zeros", "Zero outputs, layer by layer", says, _zeros, False)


def signals(report: Report) -> Picture | None:
    """Size of every layer's output over the run."""
    says = "Root mean square of a layer's outputs."
    return heat_map(report, "layer-outputs", "Size of the outputs, layer by layer", says, _signal, True)


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
        names.append(_unlike(word(state.get("name")), names))
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
            names.append(_unlike(f"{word(state.get('name'))} {word(state.get('function'))}", names))
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


__all__ = ["backward_depth", "depth", "gradients", "layered", "signals", "units", "updates", "zeros"]
