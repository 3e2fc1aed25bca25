"""The steps: rates, optimizers and batch sizes, compared in short runs."""

from __future__ import annotations

import math
from typing import Any, Final

from unstuck.render.figures import duration
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
    legend,
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
            "encoding": {"x": x, "color": legend("what", ("as given", SICK), ("best", WELL))},
        },
    ]
    the_best = f"the best is {written(best)} times that given"
    caption = f"Short runs from the same start ({written(start)}) at other rates: {the_best}"
    caption += f"; diverged at {', '.join(written(factor) for factor in diverged)} times" if diverged else ""
    table = tuple((row["at"], row["value"]) for row in rows)
    title = "Learning-rate range test"
    return Picture("range-test", title, f"{caption}.", layered(layers), ("factor on the rate", "loss"), table)


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
            "color": {**legend("what", ("as given", SICK), ("rival", WELL))},
            "tooltip": [shown("at", "optimizer", "nominal"), shown("value", "loss")],
        },
    )
    caption = "Optimizers in short runs from the same starts, each at the best of the rates that were tried for it."
    table = tuple((row["at"], row["value"]) for row in rows)
    return Picture("optimizers", "Optimizers compared", caption, spec, ("optimizer", "loss"), table)


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
    for when, named in (("start", "at the start"), ("end", "at the end")):
        scale, low, high = (number(within(noise, when, key)) for key in ("scale", "low", "high"))
        table.append((named, scale, low, high))
        if math.isfinite(scale) and scale > 0:
            ends = {"low": low if low > 0 else scale, "high": high if math.isfinite(high) else scale}
            rows.append({"at": named, "value": scale, **ends})
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
                "color": legend("what", ("batch size", SICK), ("noise scale, 95 % interval", WELL)),
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


def batch_time(report: Report) -> Picture | None:
    """The time of an update and of an epoch against the batch size, on the device of the set-up.

    Args:
        report: Its chart holds the times.

    Returns:
        The picture; None where fewer than two sizes were timed.
    """
    found = within(report.chart, "BatchTiming")
    rows: list[Row] = []
    table: list[tuple[str | float, ...]] = []
    for each in records(within(found, "times")):
        size, update, epoch = (number(within(each, key)) for key in ("batch_size", "update_seconds", "epoch_seconds"))
        if not (size > 0 and update > 0):
            continue
        table.append((size, update, epoch))
        rows.append({"at": size, "what": "one update", "value": update})
        if math.isfinite(epoch) and epoch > 0:
            rows.append({"at": size, "what": "one epoch", "value": epoch})
    if len(table) < 2:
        return None
    spec = single(
        {"type": "line", "point": {"filled": True, "size": 60}, "strokeWidth": 2},
        data={"values": rows},
        encoding={
            "x": {
                "field": "at",
                "type": "quantitative",
                "title": "batch size",
                "scale": {"type": "log"},
                "axis": {"format": "~g", "values": [size for size, *_ in table]},
            },
            "y": vertical([row["value"] for row in rows], "seconds"),
            "color": legend("what", ("one update", SICK), ("one epoch", WELL)),
            "tooltip": [shown("what", "time of", "nominal"), shown("at", "batch size"), shown("value", "seconds")],
        },
    )
    (small, first, _), (large, last, _) = table[0], table[-1]
    device = word(within(found, "device") or "the device")
    caption = (
        f"On {device} an update takes {duration(float(first))} at batch size {written(float(small))}, "
        f"{duration(float(last))} at {written(float(large))}."
    )
    names = ("samples", "update", "epoch")
    return Picture("batch-time", "Time against the batch size", caption, spec, names, tuple(table))
