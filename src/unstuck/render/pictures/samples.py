"""The data: classes, labels, features, and what tells the test data apart."""

from __future__ import annotations

import math
from typing import Any, Final

from unstuck.render.figures import number as written
from unstuck.render.pictures.picture import (
    INK,
    NEUTRAL,
    SICK,
    WELL,
    Picture,
    Row,
    Spec,
    layered,
    number,
    numbers,
    records,
    shown,
    single,
    spans_decades,
    within,
    word,
)
from unstuck.report import Report

MOST_CLASSES: Final = 40
MOST_FEATURES: Final = 60
MOST_SUSPECTS: Final = 60


def recall(report: Report) -> Picture | None:
    """Share of each class that the run as given answers rightly, on training and on held-out samples.

    Args:
        report: Its chart holds the recall of each class.

    Returns:
        The picture; None for other tasks.
    """
    rows: list[Row] = []
    for split, key in (("training", "training"), ("held-out", "held_out")):
        for one in records(within(report.chart, "ClassRecall", key))[:MOST_CLASSES]:
            count, found = number(one.get("count")), number(one.get("found"))
            if count > 0 and math.isfinite(found):
                name = f"class {word(one.get('number'))}"
                rows.append({"at": name, "split": split, "value": found / count, "count": count})
    names = list(dict.fromkeys(row["at"] for row in rows))
    if len(names) < 2:
        return None
    spec = single(
        {"type": "point", "filled": True, "size": 70, "opacity": 0.9},
        height=max(80, 18 * len(names)),
        data={"values": rows},
        encoding={
            "y": {"field": "at", "type": "nominal", "sort": None, "title": None, "axis": {"grid": True}},
            "x": {
                "field": "value",
                "type": "quantitative",
                "title": "share answered rightly",
                "scale": {"domain": [0, 1]},
                "axis": {"format": ".0%", "tickCount": 5},
            },
            "color": _splits("split", ("training", SICK), ("held-out", WELL)),
            "tooltip": [
                shown("at", "", "nominal"),
                shown("split", "data", "nominal"),
                shown("value", "right", form=".1%"),
                shown("count", "samples", form="d"),
            ],
        },
    )
    worst = min(rows, key=lambda row: row["value"])
    right = f"{100 * worst['value']:.0f} % of {worst['count']:.0f} {worst['split']} samples right"
    caption = f"Each class, the rarest first; the worst is {worst['at']} with {right}."
    table = tuple((row["at"], row["split"], row["value"], row["count"]) for row in rows)
    return Picture("recall", "Right answers by class", caption, spec, ("class", "data", "right", "samples"), table)


def _splits(field: str, *pairs: tuple[str, str]) -> Spec:
    scale = {"domain": [name for name, _ in pairs], "range": [colour for _, colour in pairs]}
    return {"field": field, "type": "nominal", "title": None, "legend": {"orient": "top"}, "scale": scale}


def label_noise(report: Report) -> Picture | None:
    """How many of the surest answers of another learner contradict the label, and which samples are suspected.

    Args:
        report: Its chart holds the out-of-fold answers (Northcutt, Jiang & Chuang, 2021).

    Returns:
        The picture; None where they were not asked for.
    """
    noise = within(report.chart, "LabelNoise")
    samples, surest, wrong = (number(within(noise, key)) for key in ("samples", "surest", "surest_wrong"))
    accuracy = number(within(noise, "accuracy"))
    if not (samples > 0 and surest > 0) or math.isnan(wrong) or not math.isfinite(accuracy):
        return None
    suspects = numbers(within(noise, "suspects"))
    agree, against = "agrees with the label", "contradicts it"
    rows: list[Row] = []
    for name, count, share in (("all samples", samples, accuracy), ("its surest third", surest, 1 - wrong / surest)):
        rows.append({"at": name, "what": agree, "value": share, "count": share * count})
        rows.append({"at": name, "what": against, "value": 1 - share, "count": (1 - share) * count})
    spec = single(
        {"type": "bar"},
        height=80,
        data={"values": rows},
        encoding={
            "y": {"field": "at", "type": "nominal", "sort": None, "title": None},
            "x": {
                "field": "value",
                "type": "quantitative",
                "stack": "zero",
                "title": "share of the samples",
                "axis": {"format": ".0%", "tickCount": 5},
            },
            "color": _splits("what", (agree, WELL), (against, SICK)),
            "order": {"field": "what", "type": "ordinal", "sort": "ascending"},
            "tooltip": [
                shown("at", "", "nominal"),
                shown("what", "", "nominal"),
                shown("value", "share", form=".1%"),
                shown("count", "samples", form=".0f"),
            ],
        },
    )
    learner = word(within(noise, "learner"))
    contradict = f"{wrong:.0f} of its {surest:.0f} surest answers contradict the label"
    caption = f"What {learner}, which has not seen a sample, answers: {contradict}"
    caption += f"; {len(suspects)} labels are suspected, the surest of them in the table" if suspects else ""
    table = tuple(
        (f"training sample {suspect:.0f}", place) for place, suspect in enumerate(suspects[:MOST_SUSPECTS], 1)
    )
    return Picture(
        "label-noise", "Labels that are contradicted", f"{caption}.", spec, ("suspected label", "rank"), table
    )


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
            "x": {
                "field": "at",
                "type": "quantitative",
                "title": "input feature by number",
                "axis": {"format": "d", "tickMinStep": 1},
            },
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


def initial_outputs(report: Report) -> Picture | None:
    """What each output is at the start on average, beside what the best constant prediction would have it be.

    Args:
        report: Its chart holds the initial loss.

    Returns:
        The picture; None where the outputs are not known one by one.
    """
    initial = within(report.chart, "InitialLoss")
    means, wanted = numbers(within(initial, "mean")), numbers(within(initial, "wanted"))
    rows: list[Row] = []
    for run, values in (("as given", means), ("best constant", wanted)):
        rows += [
            {"at": place, "run": run, "value": value} for place, value in enumerate(values) if math.isfinite(value)
        ]
    if len(rows) < 2 or len(means) > 200:
        return None
    spec = single(
        {"type": "point", "filled": True, "size": 60, "opacity": 0.9},
        height=180,
        data={"values": rows},
        encoding={
            "x": {
                "field": "at",
                "type": "quantitative",
                "title": "output by number",
                "axis": {"format": "d", "tickMinStep": 1},
            },
            "y": {
                "field": "value",
                "type": "quantitative",
                "title": "mean output before training",
                "axis": {"tickCount": 5},
            },
            "color": _splits("run", ("as given", SICK), ("best constant", NEUTRAL)),
            "tooltip": [shown("at", "output", form="d"), shown("run", "", "nominal"), shown("value", "mean")],
        },
    )
    loss, constant = number(within(initial, "loss")), number(within(initial, "constant"))
    caption = f"Training starts at a loss of {written(loss)}; the best constant prediction has {written(constant)}."
    table = tuple((row["run"], row["at"], row["value"]) for row in rows)
    return Picture("initial-outputs", "Where training starts", caption, spec, ("run", "output", "mean"), table)
