"""Where the run stands: against what it was compared with, and how its loss on new data is made up."""

from __future__ import annotations

import math
from typing import Final

from unstuck.render.figures import number as written
from unstuck.render.pictures.picture import (
    COLOURS,
    INK,
    NEUTRAL,
    SICK,
    WELL,
    Picture,
    Row,
    Spec,
    layered,
    number,
    records,
    shown,
    spans_decades,
    within,
    word,
)
from unstuck.report import Report

TRAINING: Final = "training"
HELD_OUT: Final = "held-out"
TEST: Final = "test"


def standing(report: Report) -> Picture | None:
    """The loss as given beside the best constant prediction and everything it was compared with.

    Args:
        report: Its chart holds the comparison.

    Returns:
        The picture; None where nothing was compared on the scale of the loss.
    """
    comparison = within(report.chart, "Comparison") or within(report.chart, "LearnerComparison", "comparison")
    given = within(comparison, "given")
    everything = [
        (
            "the best constant",
            number(within(comparison, "constant_training")),
            number(within(comparison, "constant_held_out")),
        ),
        ("as given", number(within(given, "training", "loss")), number(within(given, "held_out", "loss"))),
    ]
    others = [each for each in records(within(comparison, "comparators")) if each.get("scale") == "loss"]
    others = sorted(others, key=lambda each: -_or_infinite(number(each.get("held_out"))))
    everything += [
        (word(each.get("name")), number(each.get("training")), number(each.get("held_out"))) for each in others
    ]
    rows: list[Row] = []
    gone: list[str] = []
    for name, training, held_out in everything:
        known = [(TRAINING, training), (HELD_OUT, held_out)]
        rows += [{"who": name, "split": split, "value": loss} for split, loss in known if math.isfinite(loss)]
        if not (math.isfinite(training) or math.isfinite(held_out)):
            gone.append(name)
    names = [name for name, *_ in everything if name not in gone]
    if len(names) < 2 or (gone == [] and not others):
        return None
    losses = [row["value"] for row in rows]
    scale: Spec = {"type": "log", "nice": True} if spans_decades(losses, 20.0) else {"zero": False, "nice": True}
    y: Spec = {
        "field": "who",
        "type": "nominal",
        "title": None,
        "sort": names,
        "axis": {"labelLimit": 190, "grid": True, "domain": False, "ticks": False},
    }
    colour = {
        "field": "split",
        "type": "nominal",
        "title": None,
        "legend": {"orient": "top"},
        "scale": {"domain": [TRAINING, HELD_OUT], "range": [SICK, WELL]},
    }
    tips = [shown("who", "who", "nominal"), shown("split", "data", "nominal"), shown("value", "loss")]
    x = {
        "field": "value",
        "type": "quantitative",
        "title": "loss (lower is better)",
        "scale": scale,
        "axis": {"tickCount": 6, "format": "~g", "grid": False},
    }
    bands: Spec = {
        "transform": [{"filter": {"field": "who", "equal": "as given"}}],
        "mark": {"type": "rule", "strokeDash": [4, 4], "opacity": 0.7},
        "encoding": {"x": x, "color": colour},
    }
    points: Spec = {
        "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
        "encoding": {
            "x": x,
            "y": y,
            "color": colour,
            "tooltip": tips,
            "shape": {**colour, "scale": {"domain": [TRAINING, HELD_OUT], "range": ["circle", "diamond"]}},
        },
    }
    spec = layered([bands, points] if "as given" in names else [points], height=24 * len(names), data={"values": rows})
    best = min(others, key=lambda each: _or_infinite(number(each.get("held_out"))), default=None)
    _, on_training, on_held_out = everything[1]
    caption = (
        f"The run as given ends at {written(on_training)} on its training data and {written(on_held_out)} held out"
    )
    if best is not None:
        reached = f"{written(number(best.get('training')))} and {written(number(best.get('held_out')))}"
        caption += f"; {word(best.get('name'))} reaches {reached}"
    if gone:
        caption += f"; off the scale, for it is no finite number: {', '.join(gone)}"
    table = tuple((name, training, held_out) for name, training, held_out in everything)
    return Picture("standing", "Where it stands", f"{caption}.", spec, ("who", "training loss", "held-out loss"), table)


def _or_infinite(value: float) -> float:
    return value if math.isfinite(value) else math.inf


def gap(report: Report) -> Picture | None:
    """The loss on test data as a bar: what training leaves, what held-out data add, what the test data add.

    Args:
        report: Its chart holds the scores.

    Returns:
        The picture; None where the losses are no numbers, or fall from split to split.
    """
    given = within(report.chart, "Comparison", "given") or within(report.chart, "FinalScores", "scores")
    losses = [number(within(given, split, "loss")) for split in ("training", "held_out", "test")]
    training, held_out, test = losses
    if not (math.isfinite(training) and math.isfinite(held_out)) or training < 0:
        return None
    parts = [("training loss", 0.0, training), ("held-out adds", training, held_out)]
    if math.isfinite(test):
        parts.append(("test adds", held_out, test))
    rows: list[Row] = [{"part": name, "from": start, "to": end, "size": end - start} for name, start, end in parts]
    names = [name for name, *_ in parts]
    colour = {
        "field": "part",
        "type": "nominal",
        "sort": names,
        "title": None,
        "legend": None,
        "scale": {"domain": names, "range": [NEUTRAL, SICK, COLOURS[2]][: len(names)]},
    }
    y = {
        "field": "part",
        "type": "nominal",
        "sort": names,
        "title": None,
        "axis": {"labelLimit": 190, "ticks": False, "domain": False},
    }
    bars: Spec = {
        "mark": {"type": "bar", "height": {"band": 0.7}},
        "encoding": {
            "x": {"field": "from", "type": "quantitative", "title": "loss", "axis": {"tickCount": 6}},
            "x2": {"field": "to"},
            "y": y,
            "color": colour,
            "tooltip": [shown("part", "part", "nominal"), shown("size", "adds"), shown("to", "up to")],
        },
    }
    text: Spec = {
        "mark": {"type": "text", "align": "left", "dx": 5, "color": INK},
        "transform": [{"calculate": "max(datum.from, datum.to)", "as": "end"}],
        "encoding": {
            "x": {"field": "end", "type": "quantitative"},
            "y": y,
            "text": {"field": "label", "type": "nominal"},
        },
    }
    for row in rows:
        row["label"] = ("+" if row["from"] and row["size"] > 0 else "") + written(row["size"])
    highest = max(row[end] for row in rows for end in ("from", "to"))
    bars["encoding"]["x"]["scale"] = {"domain": [0, 1.25 * highest]} if highest > 0 else {}
    spec = layered([bars, text], height=34 * len(rows), data={"values": rows})
    split = f"training {written(training)}, held-out {written(held_out)}"
    if math.isfinite(test):
        caption = (
            f"How the loss is made up: {split}, test {written(test)}. Held-out minus training is overfitting, test "
            "minus held-out is mismatch."
        )
    else:
        caption = f"How the loss is made up: {split}. Held-out minus training is overfitting."
    return Picture(
        "gap",
        "How the gap splits",
        caption,
        spec,
        ("part", "from", "to"),
        tuple((row["part"], row["from"], row["to"]) for row in rows),
    )
