"""Layers over the run, as heat maps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from unstuck.render.figures import number as written
from unstuck.render.pictures.picture import (
    Picture,
    Spec,
    finite,
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
        names.append(unlike(first if len(stretch) == 1 else f"{first} … {last}", names))
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


def unlike(name: str, others: Sequence[str]) -> str:
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
