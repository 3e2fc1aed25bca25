"""The run over its steps: losses, norm of the gradient, learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from unstuck.render.figures import number as written
from unstuck.render.lines import clean
from unstuck.render.pictures.lines import HEADINGS, line_chart, run_table, thinned_run, without_legend
from unstuck.render.pictures.picture import (
    INK,
    SICK,
    THIRD,
    WELL,
    Picture,
    Spec,
    finite,
    number,
    numbers,
    within,
)
from unstuck.report import Report


def learning_curves(report: Report) -> Picture | None:
    """Training and validation loss of the run as given, with the epoch at which the validation loss is lowest.

    Args:
        report: Its chart holds the whole run where it was stored; else the curves kept for display are drawn.

    Returns:
        The picture; None where no run was made.
    """
    record = within(report.chart, "History", "record")
    losses = numbers(within(record, "losses"))
    validation, ends = numbers(within(record, "validation_losses")), numbers(within(record, "epoch_ends"))
    steps: Sequence[float] = range(len(losses))
    if len(finite(losses)) < 2:
        kept = {clean(curve.label, 60): curve for curve in report.curves[:2]}
        rows = [row for label, curve in kept.items() for row in thinned_run(label, curve.steps, curve.values)]
        runs = list(dict.fromkeys(row["run"] for row in rows))
        stops = any(not math.isfinite(value) for curve in kept.values() for value in curve.values)
    else:
        rows = thinned_run("training loss", steps, losses) + thinned_run("validation loss", ends, validation)
        runs = list(dict.fromkeys(row["run"] for row in rows))
        stops = any(not math.isfinite(value) for value in losses)
    if len(rows) < 2:
        return None
    extra: list[Spec] = []
    first, last = rows[0]["value"], [row for row in rows if row["run"] == runs[0]][-1]["value"]
    caption = f"The {runs[0]} goes from {written(first)} to {written(last)}"
    if stops:
        at = next((place for place, loss in enumerate(losses) if not math.isfinite(loss)), None)
        caption += "; from then on it is no finite number" if at is None else f"; at step {at} it is no number any more"
    bare = finite(validation)
    lowest = validation.index(min(bare)) if bare and len(validation) <= len(ends) else len(validation)
    if bare and lowest < len(ends):
        mark = {
            "data": {"values": [{"step": ends[lowest]}]},
            "encoding": {"x": {"field": "step", "type": "quantitative"}},
        }
        if lowest < len(validation) - 1:
            words = f"lowest after epoch {lowest + 1}"
            before_half = lowest < len(validation) / 2
            text = {
                "type": "text",
                "text": words,
                "align": "left" if before_half else "right",
                "dx": 5 if before_half else -5,
            }
            extra = [
                {"mark": {"type": "rule", "strokeDash": [4, 4], "color": INK, "opacity": 0.7}, **mark},
                {"mark": {**text, "y": 8, "color": INK, "fontSize": 11}, **mark},
            ]
            caption += (
                f"; the validation loss is lowest, {written(validation[lowest])}, after epoch {lowest + 1} of "
                f"{len(validation)} and ends at {written(validation[-1])}"
            )
        else:
            caption += f"; the validation loss ends at its lowest, {written(validation[lowest])}"
    spec = line_chart(rows, runs, (SICK, WELL, THIRD), "loss", extra)
    switch = min(row["low"] for row in rows) > 0
    return Picture(
        "curves", "The run as given", caption + ".", spec, HEADINGS, run_table(rows, runs), switchable=switch
    )


def gradient_norms(report: Report) -> Picture | None:
    """The norm of the whole gradient at each step of the run as given.

    Args:
        report: Its chart holds the run.

    Returns:
        The picture; None where the norms were not watched.
    """
    record = within(report.chart, "History", "record")
    rows = thinned_run("gradient norm", range(10**9), numbers(within(record, "gradient_norms")))
    median = number(within(report.chart, "GradientSpikes", "median"))
    if len(rows) < 2:
        return None
    largest = max(row["high"] for row in rows)
    caption = f"The norm of the whole gradient, {written(rows[0]['value'])} at first, at most {written(largest)}"
    if math.isfinite(median):
        caption += f"; its median is {written(median)}"
    spec = line_chart(rows, ["gradient norm"], (SICK,), "gradient norm", [])
    spec = without_legend(spec)
    return Picture(
        "gradient-norms",
        "The gradient over the run",
        caption + ".",
        spec,
        HEADINGS,
        run_table(rows, ["gradient norm"]),
        switchable=min(row["low"] for row in rows) > 0,
    )


def rates(report: Report) -> Picture | None:
    """The learning rate at each step, where it changes.

    Args:
        report: Its chart holds the run.

    Returns:
        The picture; None where the rate stays the same.
    """
    values = numbers(within(report.chart, "History", "record", "rates"))
    if len(set(values)) < 2:
        return None
    rows = thinned_run("learning rate", range(len(values)), values)
    if len(rows) < 2:
        return None
    caption = (
        f"The rate starts at {written(values[0])}, is at most {written(max(finite(values)))} and ends at "
        f"{written(values[-1])}."
    )
    spec = line_chart(rows, ["learning rate"], (THIRD,), "learning rate", [])
    spec = without_legend(spec)
    return Picture(
        "rates",
        "The learning rate over the run",
        caption,
        spec,
        HEADINGS,
        run_table(rows, ["learning rate"]),
        switchable=min(row["low"] for row in rows) > 0,
    )


def losses_of(name: str, title: str, runs: Mapping[str, Sequence[float]], axis: str) -> Picture | None:
    """Some losses on one scale.

    Args:
        name: What the picture is called.
        title: What it shows.
        runs: Label → losses, one an epoch or step; at most two.
        axis: What they are counted by.

    Returns:
        The picture; None where fewer than two are numbers.
    """
    rows = [row for run, losses in runs.items() for row in thinned_run(run, range(1, len(losses) + 1), losses)]
    known = list(dict.fromkeys(row["run"] for row in rows))
    if len(rows) < 2:
        return None
    ends = [f"{run} {written(losses[-1])}" for run, losses in runs.items() if losses]
    spec = line_chart(rows, known, (SICK, WELL) if len(known) == len(runs) else (WELL,), "loss", [])
    for layer in spec["layer"]:
        layer["encoding"]["x"]["title"] = axis
    caption = f"The loss at the end: {', '.join(ends)}."
    return Picture(name, title, caption, spec, HEADINGS, run_table(rows, known), min(row["low"] for row in rows) > 0)
