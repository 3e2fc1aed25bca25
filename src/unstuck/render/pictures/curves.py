"""The losses over training: as given, and as given against cured with the seeds as bands."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from unstuck.render.figures import number as written
from unstuck.render.lines import clean
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
    shown,
    thinned,
    vertical,
    within,
)
from unstuck.report import Curve, Report, Trial

MOST_POINTS: Final = 240
MOST_ROWS: Final = 12
GIVEN: Final = "as given"
CURED: Final = "with the remedy"

ZOOM: Final[Spec] = {
    "name": "view",
    "select": {
        "type": "interval",
        "zoom": "wheel![event.shiftKey]",
        "translate": "[pointerdown[event.pointerType === 'mouse'], window:pointerup] > window:pointermove!",
    },
    "bind": "scales",
}
"""Shift and wheel zoom, the mouse drags, a double click goes back; a finger and a bare wheel scroll the page."""


def runs_toggle(field: str = "run") -> Spec:
    """A click in the legend shows one run alone."""
    return {"name": "chosen", "select": {"type": "point", "fields": [field]}, "bind": "legend"}


FAINT_OTHERS: Final[Spec] = {"condition": {"param": "chosen", "value": 1}, "value": 0.15}


def _points(run: str, steps: Sequence[float], values: Sequence[float]) -> list[Row]:
    """A run thinned to stretches, each with its mean, lowest and highest value; a stretch that is no number ends it."""
    rows: list[Row] = []
    for stretch in thinned(min(len(steps), len(values)), MOST_POINTS):
        part = [values[place] for place in stretch]
        if not all(map(math.isfinite, part)):
            break
        mean = sum(part) / len(part)
        rows.append({"run": run, "step": steps[stretch[0]], "value": mean, "low": min(part), "high": max(part)})
    return rows


def _colours(runs: Sequence[str], colours: Sequence[str]) -> Spec:
    scale = {"domain": list(runs), "range": list(colours[: len(runs)])}
    return {"field": "run", "type": "nominal", "scale": scale, "title": None, "legend": {"orient": "top"}}


def _lines(rows: list[Row], runs: Sequence[str], colours: Sequence[str], axis: str, extra: list[Spec]) -> Spec:
    values = [row[end] for row in rows for end in ("low", "high")]
    tips = [shown("run", "run", "nominal"), shown("step", "step", form=",d"), shown("value", axis)]
    encoding: Spec = {
        "x": {"field": "step", "type": "quantitative", "title": "step", "axis": {"format": "~s", "tickCount": 6}},
        "y": vertical(values, axis),
        "color": _colours(runs, colours),
        "opacity": FAINT_OTHERS,
    }
    edges = {"y": {**encoding["y"], "field": "low"}, "y2": {"field": "high"}, "opacity": {"value": 0.2}}
    band = {"mark": {"type": "area", "clip": True}, "encoding": {**encoding, **edges}}
    line = {
        "mark": {"type": "line", "clip": True, "strokeWidth": 2, "point": len(rows) <= 12 * len(runs)},
        "encoding": {**encoding, "tooltip": tips},
        "params": [ZOOM, runs_toggle()],
    }
    near = {"condition": {"param": "near", "empty": False, "value": 1}, "value": 0}
    select = {"type": "point", "on": "pointerover", "nearest": True, "clear": "pointerout"}
    hover = {
        "mark": {"type": "point", "size": 60, "filled": True, "clip": True},
        "params": [{"name": "near", "select": select}],
        "encoding": {**encoding, "opacity": near, "tooltip": tips},
    }
    return layered([band, line, hover, *extra], data={"values": rows})


def _without_legend(spec: Spec) -> Spec:
    """The same with one run only, which needs no legend."""
    for layer in spec["layer"]:
        layer["encoding"]["color"] = {**layer["encoding"]["color"], "legend": None}
        layer["params"] = [one for one in layer.get("params", []) if one["name"] != "chosen"]
        if "condition" in layer["encoding"]["opacity"] and layer["encoding"]["opacity"] == FAINT_OTHERS:
            layer["encoding"]["opacity"] = {"value": 1}
    return spec


def _table(rows: list[Row], runs: Sequence[str]) -> tuple[tuple[str | float, ...], ...]:
    table: list[tuple[str | float, ...]] = []
    for run in runs:
        those = [row for row in rows if row["run"] == run]
        for stretch in thinned(len(those), MOST_ROWS):
            row = those[stretch[0]]
            table.append((run, row["step"], row["value"], row["low"], row["high"]))
        if those and table[-1][1] != those[-1]["step"]:
            last = those[-1]
            table.append((run, last["step"], last["value"], last["low"], last["high"]))
    return tuple(table)


HEADINGS: Final = ("run", "step", "loss", "lowest", "highest")


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
        rows = [row for label, curve in kept.items() for row in _points(label, curve.steps, curve.values)]
        runs = list(dict.fromkeys(row["run"] for row in rows))
        stops = any(not math.isfinite(value) for curve in kept.values() for value in curve.values)
    else:
        rows = _points("training loss", steps, losses) + _points("validation loss", ends, validation)
        runs = list(dict.fromkeys(row["run"] for row in rows))
        stops = any(not math.isfinite(value) for value in losses)
    if len(rows) < 2:
        return None
    extra: list[Spec] = []
    first, last = rows[0]["value"], [row for row in rows if row["run"] == runs[0]][-1]["value"]
    caption = f"The {runs[0]} goes from {written(first)} to {written(last)}"
    if stops:
        at = next((place for place, loss in enumerate(losses) if not math.isfinite(loss)), None)
        caption += (
            ", and is no finite number from then on" if at is None else f"; at step {at} it is no number any more"
        )
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
            caption += f"; the validation loss is lowest, {written(validation[lowest])}, after epoch {lowest + 1}"
            caption += f" of {len(validation)} and ends at {written(validation[-1])}"
        else:
            caption += f"; the validation loss ends at its lowest, {written(validation[lowest])}"
    spec = _lines(rows, runs, (SICK, WELL, THIRD), "loss", extra)
    switch = min(row["low"] for row in rows) > 0
    return Picture("curves", "The run as given", caption + ".", spec, HEADINGS, _table(rows, runs), switchable=switch)


def _bands(run: str, curves: Sequence[Curve]) -> list[Row]:
    """The mean over seeds at each step, with the lowest and the highest; it ends where a seed is no number."""
    at: dict[int, list[float]] = {}
    for curve in curves:
        for step, value in zip(curve.steps, curve.values, strict=False):
            at.setdefault(step, []).append(value)
    rows: list[Row] = []
    for step in sorted(at):
        values = at[step]
        if not all(map(math.isfinite, values)):
            break
        if len(values) == len(curves):
            rows.append(
                {"run": run, "step": step, "value": sum(values) / len(values), "low": min(values), "high": max(values)}
            )
    return rows


def trial_curves(trial: Trial, name: str = "trial") -> Picture | None:
    """The run as given against the run with the remedy: the mean over seeds, the seeds as a band.

    Args:
        trial: Its curves are labelled "as given …" and "with the remedy …".
        name: What `report.plot` calls it.

    Returns:
        The picture; None where the trial kept no curves.
    """
    on_validation = [curve for curve in trial.curves if "validation" in curve.label]
    wanted = (
        on_validation
        if on_validation and not trial.score.startswith("training")
        else [curve for curve in trial.curves if "validation" not in curve.label]
    )
    given = [curve for curve in wanted if curve.label.startswith(GIVEN)]
    cured = [curve for curve in wanted if not curve.label.startswith(GIVEN)]
    rows = _bands(GIVEN, given) + _bands(CURED, cured)
    runs = list(dict.fromkeys(row["run"] for row in rows))
    if len(rows) < 2:
        return None
    split = "validation" if wanted and wanted[0] in on_validation else "training"
    seeds = max(len(given), len(cured))
    over = "from one seed" if seeds == 1 else f"over {seeds} seeds: the line is their mean, the band their range"
    caption = f"The {split} loss {over}"
    if given and _bands(GIVEN, given) == [] or len(_bands(GIVEN, given)) < len(given[0].steps if given else ()):
        caption += "; a curve ends where a run is no finite number any more"
    spec = _lines(rows, runs, (SICK if GIVEN in runs else WELL, WELL), f"{split} loss", [])
    switch = min(row["low"] for row in rows) > 0
    title = "As given, and with the remedy"
    return Picture(name, title, caption + ".", spec, HEADINGS, _table(rows, runs), switchable=switch)


def trial_seeds(trial: Trial) -> Picture | None:
    """What the trial compares, seed by seed: a line from the score as given to that with the remedy.

    Args:
        trial: With at least one seed.

    Returns:
        The picture; None where no score is a number.
    """
    pairs = [
        (seed, before, after)
        for seed, before, after in zip(trial.seeds, trial.before, trial.after, strict=False)
        if math.isfinite(before) and math.isfinite(after)
    ]
    if not pairs:
        return None
    score = clean(trial.score, 60)
    rows: list[Row] = [{"seed": f"seed {seed}", "before": before, "after": after} for seed, before, after in pairs]
    both = [
        {"seed": row["seed"], "run": run, "value": row[key]}
        for row in rows
        for run, key in ((GIVEN, "before"), (CURED, "after"))
    ]
    values = [row["value"] for row in both]
    across = vertical(values, f"{score} (lower is better)")
    tips = [shown("seed", "seed", "nominal"), shown("run", "run", "nominal"), shown("value", score)]
    y = {"field": "seed", "type": "nominal", "title": None}
    layers: list[Spec] = [
        {
            "data": {"values": rows},
            "mark": {"type": "rule", "color": NEUTRAL, "strokeWidth": 2},
            "encoding": {"x": {**across, "field": "before"}, "x2": {"field": "after"}, "y": y},
        },
        {
            "data": {"values": both},
            "mark": {"type": "point", "filled": True, "size": 110, "opacity": 1},
            "encoding": {"x": across, "y": y, "color": _colours((GIVEN, CURED), (SICK, WELL)), "tooltip": tips},
        },
    ]
    spec = layered(layers, height=max(70, 26 * len(rows)))
    gain = trial.gain
    caption = f"{score.capitalize()} per seed at equal budget, paired"
    if gain.interval is not None:
        caption += f"; the gain is {written(gain.value)} of the span, 95 % interval {written(gain.interval.low)} to "
        caption += written(gain.interval.high)
    table = tuple((row["seed"], row["before"], row["after"]) for row in rows)
    return Picture("seeds", "The trial, seed by seed", caption + ".", spec, ("seed", GIVEN, CURED), table)


def gradient_norms(report: Report) -> Picture | None:
    """The norm of the whole gradient at each step of the run as given.

    Args:
        report: Its chart holds the run.

    Returns:
        The picture; None where the norms were not watched.
    """
    record = within(report.chart, "History", "record")
    rows = _points("gradient norm", range(10**9), numbers(within(record, "gradient_norms")))
    median = number(within(report.chart, "GradientSpikes", "median"))
    if len(rows) < 2:
        return None
    largest = max(row["high"] for row in rows)
    caption = f"The norm of the whole gradient, {written(rows[0]['value'])} at first, at most {written(largest)}"
    if math.isfinite(median):
        caption += f"; its median is {written(median)}"
    spec = _lines(rows, ["gradient norm"], (SICK,), "gradient norm", [])
    spec = _without_legend(spec)
    return Picture(
        "gradient-norms",
        "The gradient over the run",
        caption + ".",
        spec,
        HEADINGS,
        _table(rows, ["gradient norm"]),
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
    rows = _points("learning rate", range(len(values)), values)
    if len(rows) < 2:
        return None
    caption = f"The rate starts at {written(values[0])}, is at most {written(max(finite(values)))} and ends at "
    spec = _lines(rows, ["learning rate"], (THIRD,), "learning rate", [])
    spec = _without_legend(spec)
    return Picture(
        "rates",
        "The learning rate over the run",
        f"{caption}{written(values[-1])}.",
        spec,
        HEADINGS,
        _table(rows, ["learning rate"]),
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
    rows = [row for run, losses in runs.items() for row in _points(run, range(1, len(losses) + 1), losses)]
    known = list(dict.fromkeys(row["run"] for row in rows))
    if len(rows) < 2:
        return None
    ends = [f"{run} {written(losses[-1])}" for run, losses in runs.items() if losses]
    spec = _lines(rows, known, (SICK, WELL) if len(known) == len(runs) else (WELL,), "loss", [])
    for layer in spec["layer"]:
        layer["encoding"]["x"]["title"] = axis
    caption = f"The loss at the end: {', '.join(ends)}."
    return Picture(name, title, caption, spec, HEADINGS, _table(rows, known), min(row["low"] for row in rows) > 0)
