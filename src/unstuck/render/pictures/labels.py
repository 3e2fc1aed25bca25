"""What the network answers: classes, labels that are contradicted, the outputs before training."""

from __future__ import annotations

import math
from typing import Final

from unstuck.render.figures import number as written
from unstuck.render.pictures.picture import (
    NEUTRAL,
    SICK,
    WELL,
    Picture,
    Row,
    legend,
    number,
    numbered,
    numbers,
    records,
    shown,
    single,
    within,
    word,
)
from unstuck.report import Report

MOST_CLASSES: Final = 40
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
            "color": legend("split", ("training", SICK), ("held-out", WELL)),
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
            "color": legend("what", (agree, WELL), (against, SICK)),
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
    answers = [numbers(pair) for pair in within(noise, "answers") or ()]
    kept = [numbers(sample.get("numbers")) for sample in records(within(report.chart, "Suspects", "samples"))]
    table: list[tuple[str | float, ...]] = []
    for place, suspect in enumerate(suspects[:MOST_SUSPECTS]):
        pair = answers[place] if place < len(answers) and len(answers[place]) == 2 else (math.nan, math.nan)
        first = ", ".join(written(value) for value in kept[place]) if place < len(kept) else ""
        table.append((f"training sample {suspect:.0f}", *pair, first))
    heads: tuple[str, ...] = ("suspected label", "label", "looks like", "its first numbers")
    if not any(row[3] for row in table):
        heads, table = heads[:3], [row[:3] for row in table]
    return Picture("label-noise", "Labels that are contradicted", f"{caption}.", spec, heads, tuple(table))


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
            "x": numbered("output by number"),
            "y": {
                "field": "value",
                "type": "quantitative",
                "title": "mean output before training",
                "axis": {"tickCount": 5},
            },
            "color": legend("run", ("as given", SICK), ("best constant", NEUTRAL)),
            "tooltip": [shown("at", "output", form="d"), shown("run", "", "nominal"), shown("value", "mean")],
        },
    )
    loss, constant = number(within(initial, "loss")), number(within(initial, "constant"))
    caption = f"Training starts at a loss of {written(loss)}; the best constant prediction has {written(constant)}."
    table = tuple((row["run"], row["at"], row["value"]) for row in rows)
    return Picture("initial-outputs", "Where training starts", caption, spec, ("run", "output", "mean"), table)


def confusion(report: Report) -> Picture | None:
    """Which class the run as given answers for which, each row as shares of its class.

    Args:
        report: Its chart holds the counts.

    Returns:
        The picture; None where the targets are no classes, or everything is answered rightly.
    """
    return _confusion(report, "confusion", "What is taken for what, as given", "before")


def cured_confusion(report: Report) -> Picture | None:
    """The same with the remedy.

    Args:
        report: Its chart holds the counts.

    Returns:
        The picture; None where nothing was cured, or there is no picture of the run as given.
    """
    before = _confusion(report, "confusion", "", "before")
    return before and _confusion(report, "confusion-cured", "What is taken for what, with the remedy", "after")


def _confusion(report: Report, name: str, title: str, key: str) -> Picture | None:
    kept = within(report.chart, "Confusions")
    counts = [numbers(row) for row in within(kept, key) or ()][:MOST_CLASSES]
    whole = sum(sum(row) for row in counts)
    if len(counts) < 2 or not whole > 0 or any(len(row) != len(counts) for row in counts):
        return None
    wrong = whole - sum(row[place] for place, row in enumerate(counts))
    if key == "before" and not wrong:
        return None
    rows: list[Row] = []
    for truth, row in enumerate(counts):
        for answer, count in enumerate(row):
            share = count / sum(row) if sum(row) > 0 else 0.0
            rows.append({"truth": truth, "answer": answer, "value": share, "count": count})
    axis = {"labelAngle": 0, "labelOverlap": True, "ticks": False, "domain": False}
    spec = single(
        {"type": "rect"},
        height=max(120, min(300, 26 * len(counts))),
        data={"values": rows},
        encoding={
            "x": {"field": "answer", "type": "ordinal", "title": "class answered", "axis": axis},
            "y": {"field": "truth", "type": "ordinal", "title": "class", "axis": axis},
            "color": {
                "field": "value",
                "type": "quantitative",
                "title": "share of the class",
                "scale": {"scheme": "viridis", "domain": [0, 1]},
                "legend": {
                    "orient": "top",
                    "format": ".0%",
                    "gradientLength": 200,
                    "gradientThickness": 10,
                    "tickCount": 3,
                },
            },
            "tooltip": [
                shown("truth", "class", "nominal"),
                shown("answer", "answered", "nominal"),
                shown("count", "samples", form="d"),
                shown("value", "share", form=".1%"),
            ],
        },
    )
    split = word(within(kept, "split"))
    caption = f"{100 * wrong / whole:.1f} % of {whole:.0f} {split} samples are answered wrongly"
    mistaken = [row for row in rows if row["truth"] != row["answer"] and row["count"] > 0]
    mistaken = sorted(mistaken, key=lambda row: -row["count"])
    if mistaken:
        worst = mistaken[0]
        caption += f"; most often class {worst['truth']} is taken for {worst['answer']} ({worst['count']:.0f} times)"
    table = tuple((row["truth"], row["answer"], row["count"]) for row in mistaken[:MOST_SUSPECTS])
    return Picture(name, title, f"{caption}.", spec, ("class", "answered", "samples"), table)
