"""The inputs: scales of the features, and what tells the test data apart."""

from __future__ import annotations

import math
from typing import Any, Final

from unstuck.render.figures import number as written
from unstuck.render.pictures.picture import (
    INK,
    SICK,
    WELL,
    Picture,
    Row,
    Spec,
    layered,
    legend,
    number,
    numbered,
    numbers,
    records,
    shown,
    single,
    spans_decades,
    within,
    word,
)
from unstuck.report import Report

MOST_FEATURES: Final = 60
TENFOLD: Final = 1.0
"""Decimal logarithm of the density ratio from which a sample is said to come much more often."""


def _columns(report: Report, split: str) -> list[Any]:
    columns = [within(each, "columns") for each in records(within(report.chart, "DataSummary", split, "inputs"))]
    return [each for each in columns if each is not None]


def feature_scales(report: Report) -> Picture | None:
    """Standard deviation of each input feature.

    Args:
        report: Its chart holds the summary of the data.

    Returns:
        The picture; None where there are fewer than three features, or too many were there to be kept.
    """
    scales = [scale for columns in _columns(report, "train") for scale in numbers(within(columns, "scales"))]
    rows: list[Row] = [{"at": place, "value": scale} for place, scale in enumerate(scales) if scale > 0]
    values = [row["value"] for row in rows]
    if len(rows) < 3:
        return None
    scale: Spec = {"type": "log"} if spans_decades(values, 20.0) else {"zero": True}
    spec = single(
        {"type": "point", "filled": True, "size": 45, "color": SICK, "opacity": 0.9},
        height=180,
        data={"values": rows},
        encoding={
            "x": numbered("input feature by number"),
            "y": {
                "field": "value",
                "type": "quantitative",
                "title": "standard deviation",
                "scale": scale,
                "axis": {"format": "~g", "tickCount": 5},
            },
            "tooltip": [shown("at", "feature", form="d"), shown("value", "standard deviation")],
        },
    )
    constant = len(scales) - len(rows)
    caption = f"From {written(min(values))} to {written(max(values))}, a factor of {written(max(values) / min(values))}"
    caption += f"; {constant} features never change and are left out" if constant else ""
    table = tuple((row["at"], row["value"]) for row in sorted(rows, key=lambda row: -row["value"])[:MOST_FEATURES])
    return Picture(
        "feature-scales", "Scale of the input features", f"{caption}.", spec, ("feature", "standard deviation"), table
    )


def feature_shift(report: Report) -> Picture | None:
    """How far the mean of each input feature lies from that of training, in training standard deviations.

    Args:
        report: Its chart holds the summary of the data.

    Returns:
        The picture, the features that shift most first; None without test data, or where means were not kept.
    """
    rows: list[Row] = []
    for place, (train, test) in enumerate(zip(_columns(report, "train"), _columns(report, "test"), strict=False)):
        means, scales, others = (
            numbers(within(each, key)) for each, key in ((train, "means"), (train, "scales"), (test, "means"))
        )
        spreads = numbers(within(test, "scales"))
        for number_, (mean, scale, other, spread) in enumerate(zip(means, scales, others, spreads, strict=False)):
            if scale > 0 and math.isfinite(other) and math.isfinite(spread):
                name = f"feature {number_}" if place == 0 else f"input {place}, feature {number_}"
                middle = (other - mean) / scale
                rows.append(
                    {"at": name, "value": middle, "low": middle - spread / scale, "high": middle + spread / scale}
                )
    rows = sorted(rows, key=lambda row: -abs(row["value"]))[:24]
    if not rows:
        return None
    y: Spec = {"field": "at", "type": "nominal", "sort": None, "title": None}
    x: Spec = {
        "field": "value",
        "type": "quantitative",
        "title": "test data, in standard deviations of the training data",
        "axis": {"tickCount": 6},
    }
    layers: list[Spec] = [
        {
            "mark": {"type": "rule", "color": SICK, "strokeWidth": 4, "opacity": 0.45},
            "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 70, "color": SICK, "opacity": 1},
            "encoding": {
                "x": x,
                "y": y,
                "tooltip": [
                    shown("at", "", "nominal"),
                    shown("value", "mean"),
                    shown("low", "mean − deviation"),
                    shown("high", "mean + deviation"),
                ],
            },
        },
        {
            "data": {"values": [{"edge": -1.0}, {"edge": 1.0}]},
            "mark": {"type": "rule", "strokeDash": [4, 4], "color": INK, "opacity": 0.7},
            "encoding": {"x": {"field": "edge", "type": "quantitative"}},
        },
    ]
    spec = layered(layers, height=max(60, 22 * len(rows)), data={"values": rows})
    worst = rows[0]
    off = f"{worst['at'].capitalize()} lies {written(worst['value'])} training standard deviations off"
    caption = f"Mean and spread of the test inputs; the dashed lines are those of training. {off}."
    table = tuple((row["at"], row["value"], row["low"], row["high"]) for row in rows)
    return Picture(
        "feature-shift", "Which features shift", caption, spec, ("feature", "mean", "− deviation", "+ deviation"), table
    )


def two_sample(report: Report) -> Picture | None:
    """How well a classifier tells training from test inputs, as they are and after each map that may undo the shift.

    Args:
        report: Its chart holds the test (Lopez-Paz & Oquab, 2017).

    Returns:
        The picture; None where it was not asked.
    """
    test = within(report.chart, "TwoSample")
    rows: list[Row] = [
        {
            "at": "as they are",
            **{key: number(within(test, name)) for key, name in (("value", "auc"), ("low", "low"), ("high", "high"))},
        }
    ]
    for one in records(within(test, "maps")):
        ends = {"value": number(one.get("auc_after")), "low": number(one.get("low")), "high": number(one.get("high"))}
        rows.append({"at": word(one.get("name")), **ends})
    rows = [row for row in rows if all(math.isfinite(row[key]) for key in ("value", "low", "high"))]
    if not rows:
        return None
    y: Spec = {"field": "at", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 190}}
    x: Spec = {
        "field": "value",
        "type": "quantitative",
        "title": "area under the ROC curve (0.5: they cannot be told apart)",
        "scale": {"domain": [0.4, 1.0]},
        "axis": {"tickCount": 6},
    }
    layers: list[Spec] = [
        {
            "mark": {"type": "rule", "color": WELL, "strokeWidth": 4, "opacity": 0.5, "clip": True},
            "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 90, "color": WELL, "opacity": 1, "clip": False},
            "encoding": {
                "x": x,
                "y": y,
                "tooltip": [
                    shown("at", "", "nominal"),
                    shown("value", "area"),
                    shown("low", "from"),
                    shown("high", "to"),
                ],
            },
        },
        {
            "data": {"values": [{"edge": 0.5}]},
            "mark": {"type": "rule", "strokeDash": [4, 4], "color": INK, "opacity": 0.7},
            "encoding": {"x": {"field": "edge", "type": "quantitative"}},
        },
    ]
    spec = layered(layers, height=max(50, 34 * len(rows)), data={"values": rows})
    against = word(within(test, "against"))
    area = f"an area of {written(rows[0]['value'])}"
    caption = f"{word(within(test, 'classifier')).capitalize()} tells training inputs from {against} inputs with {area}"
    if len(rows) > 1:
        last = min(rows[1:], key=lambda row: row["value"])
        caption += f"; after “{last['at']}” it is {written(last['value'])}"
    table = tuple((row["at"], row["value"], row["low"], row["high"]) for row in rows)
    return Picture(
        "two-sample",
        "Can the test data be told apart?",
        f"{caption}.",
        spec,
        ("test inputs", "area", "low", "high"),
        table,
    )


def density_ratio(report: Report) -> Picture | None:
    """How much more often inputs come in the test data than in training, for samples of both.

    Args:
        report: Its chart holds the drift with the ratios (Bickel, Brückner & Scheffer, 2009).

    Returns:
        The picture; None where they were not asked for. Its table lists the test samples least like training.
    """
    drift = within(report.chart, "InputDrift")
    ratios = within(drift, "ratios")
    edges = numbers(within(ratios, "edges"))
    rows: list[Row] = []
    beyond: dict[str, float] = {}
    for split, key in (("held-out", "held_out"), ("test", "test")):
        counts = numbers(within(ratios, key))
        whole = sum(counts)
        if len(counts) != len(edges) - 1 or not whole > 0:
            return None
        for low, high, count in zip(edges, edges[1:], counts, strict=False):
            if count > 0:
                ends = {"from": 10.0**low, "to": 10.0**high}
                rows.append({**ends, "split": split, "value": count / whole, "floor": 0, "count": count})
        beyond[split] = sum(count for low, count in zip(edges, counts, strict=False) if low >= TENFOLD) / whole
    spec = single(
        {"type": "bar", "opacity": 0.6},
        data={"values": rows},
        encoding={
            "x": {
                "field": "from",
                "type": "quantitative",
                "title": "density in the test data, over that in training",
                "scale": {"type": "log", "nice": False},
                "axis": {"format": "~g", "tickCount": 7, "grid": False},
            },
            "x2": {"field": "to"},
            "y": {
                "field": "value",
                "type": "quantitative",
                "title": "share of the samples",
                "stack": None,
                "axis": {"format": ".0%", "tickCount": 4},
            },
            "y2": {"field": "floor"},
            "color": legend("split", ("held-out", WELL), ("test", SICK)),
            "tooltip": [
                shown("split", "data", "nominal"),
                shown("from", "from"),
                shown("to", "to"),
                shown("value", "share", form=".1%"),
                shown("count", "samples", form="d"),
            ],
        },
    )
    caption = (
        f"{100 * beyond['test']:.0f} % of the test samples come at least ten times as often as in training, and"
        f" {100 * beyond['held-out']:.0f} % of the held-out samples, by {word(within(ratios, 'classifier'))}"
    )
    table: list[tuple[str | float, ...]] = []
    strange = {number(each.get("row")): each for each in records(within(report.chart, "Strangers", "test"))}
    for row in numbers(within(drift, "unlike")):
        kept = strange.get(row, {})
        first = ", ".join(written(value) for value in numbers(kept.get("numbers")))
        table.append((f"test sample {row:.0f}", number(kept.get("loss")), first))
    heads: tuple[str, ...] = ("least like training", "loss as given", "its first numbers")
    if not any(row[2] for row in table):
        heads, table = heads[:2], [row[:2] for row in table]
    return Picture("density-ratio", "How much more often in the test data", f"{caption}.", spec, heads, tuple(table))
