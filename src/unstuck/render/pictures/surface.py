"""The loss surface and the steps on it: rates, optimizers, batch sizes, eigenvalues, the loss along the way out."""

from __future__ import annotations

import math
from typing import Any, Final

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
    finite,
    layered,
    number,
    numbers,
    records,
    shown,
    single,
    vertical,
    within,
    word,
)
from unstuck.report import Report

BINS: Final = 40
MOST_RIVALS: Final = 12


def _seeds(name: object, losses: object) -> list[Row]:
    values = [value for value in numbers(losses) if math.isfinite(value)]
    return [{"at": name, "value": value, "seed": place} for place, value in enumerate(values)]


def range_test(report: Report) -> Picture | None:
    """The loss at the end of short runs at many rates, seed by seed, with the rate as given marked.

    Args:
        report: Its chart holds the range test.

    Returns:
        The picture; None where it was not run.
    """
    test = within(report.chart, "RangeTest")
    points = records(within(test, "points"))
    rows = [row for point in points for row in _seeds(number(point.get("factor")), point.get("losses"))]
    rows = [row for row in rows if math.isfinite(row["at"]) and row["at"] > 0]
    if len({row["at"] for row in rows}) < 2:
        return None
    diverged = [number(point.get("factor")) for point in points if not finite(numbers(point.get("losses")))]
    best, start = number(within(test, "best")), number(within(test, "start"))
    means = [
        {"at": at, "value": sum(those) / len(those)}
        for at in sorted({row["at"] for row in rows})
        if (those := [row["value"] for row in rows if row["at"] == at])
    ]
    x: Spec = {
        "field": "at",
        "type": "quantitative",
        "title": "rate, as a factor on the one given",
        "scale": {"type": "log"},
        "axis": {"format": "~g", "tickCount": 6},
    }
    y = vertical([row["value"] for row in rows], "loss at the end of a short run")
    marks = [{"at": 1.0, "what": "as given", "value": means[0]["value"]}]
    if math.isfinite(best) and best > 0:
        marks.append({"at": best, "what": "best", "value": means[0]["value"]})
    layers: list[Spec] = [
        {"data": {"values": means}, "mark": {"type": "line", "color": NEUTRAL}, "encoding": {"x": x, "y": y}},
        {
            "data": {"values": rows},
            "mark": {"type": "point", "filled": True, "size": 60, "color": WELL, "opacity": 0.9},
            "encoding": {"x": x, "y": y, "tooltip": [shown("at", "factor"), shown("value", "loss")]},
        },
        {
            "data": {"values": marks},
            "mark": {"type": "rule", "strokeDash": [4, 4], "strokeWidth": 2},
            "encoding": {"x": x, "color": _marks(("as given", SICK), ("best", WELL))},
        },
    ]
    the_best = f"the best is {written(best)} times that given"
    caption = f"Short runs from the same start ({written(start)}) at other rates: {the_best}"
    caption += f"; diverged at {', '.join(written(factor) for factor in diverged)} times" if diverged else ""
    table = tuple((row["at"], row["value"]) for row in rows)
    title = "Learning-rate range test"
    return Picture("range-test", title, f"{caption}.", layered(layers), ("factor on the rate", "loss"), table)


def _marks(*pairs: tuple[str, str]) -> Spec:
    scale = {"domain": [name for name, _ in pairs], "range": [colour for _, colour in pairs]}
    return {"field": "what", "type": "nominal", "title": None, "legend": {"orient": "top"}, "scale": scale}


def optimizers(report: Report) -> Picture | None:
    """Optimizers, each at its own best rate, seed by seed.

    Args:
        report: Its chart holds the race.

    Returns:
        The picture; None where it was not run.
    """
    race = within(report.chart, "OptimizerRace")
    given = within(race, "given")
    racers: list[tuple[str, Any]] = [] if given is None else [(f"{word(given.get('name'))} (as given)", given)]
    racers += [(word(rival.get("name")), rival) for rival in records(within(race, "rivals"))[:MOST_RIVALS]]
    rows = [row for name, racer in racers for row in _seeds(name, racer.get("losses"))]
    names = list(dict.fromkeys(row["at"] for row in rows))
    if len(names) < 2:
        return None
    for row in rows:
        row["what"] = "as given" if row["at"] == names[0] else "rival"
    values = [row["value"] for row in rows]
    spec = single(
        {"type": "point", "filled": True, "size": 80, "opacity": 0.9},
        height=30 * len(names),
        data={"values": rows},
        encoding={
            "y": {"field": "at", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 190}},
            "x": vertical(values, "loss at the end (lower is better)"),
            "color": {**_marks(("as given", SICK), ("rival", WELL))},
            "tooltip": [shown("at", "optimizer", "nominal"), shown("value", "loss")],
        },
    )
    caption = "Optimizers in short runs from the same starts, each at the best of the rates that were tried for it."
    table = tuple((row["at"], row["value"]) for row in rows)
    return Picture("optimizers", "Optimizers compared", caption, spec, ("optimizer", "loss"), table)


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
            "color": _marks((signs[0], SICK), (signs[1], NEUTRAL), (signs[2], WELL)),
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


def batch_noise(report: Report) -> Picture | None:
    """The gradient noise scale at start and end of the run, with its interval, against the batch size.

    Args:
        report: Its chart holds the gradient noise (McCandlish, Kaplan, Amodei et al., 2018).

    Returns:
        The picture; None where the scale could not be told.
    """
    noise = within(report.chart, "GradientNoise")
    batch = number(within(noise, "batch_size"))
    rows: list[Row] = []
    table: list[tuple[str | float, ...]] = []
    for when in ("start", "end"):
        scale, low, high = (number(within(noise, when, key)) for key in ("scale", "low", "high"))
        table.append((f"at the {when}", scale, low, high))
        if math.isfinite(scale) and scale > 0:
            ends = {"low": low if low > 0 else scale, "high": high if math.isfinite(high) else scale}
            rows.append({"at": f"at the {when}", "value": scale, **ends})
    if not rows or not batch > 0:
        return None
    x: Spec = {
        "field": "value",
        "type": "quantitative",
        "title": "samples",
        "scale": {"type": "log"},
        "axis": {"format": "~g", "tickCount": 5},
    }
    y: Spec = {"field": "at", "type": "nominal", "sort": None, "title": None}
    layers: list[Spec] = [
        {
            "data": {"values": rows},
            "mark": {"type": "rule", "color": WELL, "strokeWidth": 3, "opacity": 0.6},
            "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y},
        },
        {
            "data": {"values": [{**row, "what": "noise scale, 95 % interval"} for row in rows]},
            "mark": {"type": "point", "filled": True, "size": 100, "opacity": 1},
            "encoding": {
                "x": x,
                "y": y,
                "color": _marks(("batch size", SICK), ("noise scale, 95 % interval", WELL)),
                "tooltip": [shown("value", "noise scale"), shown("low", "from"), shown("high", "to")],
            },
        },
        {
            "data": {"values": [{"value": batch, "what": "batch size"}]},
            "mark": {"type": "rule", "strokeDash": [4, 4], "strokeWidth": 2},
            "encoding": {"x": x, "color": {"field": "what", "type": "nominal"}},
        },
    ]
    first = rows[0]
    equal = f"A batch of {written(first['value'])} samples has as much noise as signal {first['at']} of the run"
    caption = f"{equal}; its batches have {written(batch)}."
    spec = layered(layers, height=40 * len(rows) + 20)
    return Picture(
        "batch-noise",
        "Gradient noise against the batch size",
        caption,
        spec,
        ("when", "scale", "low", "high"),
        tuple(table),
    )
