"""The trial that proves a cause: the curves as given and with the remedy, and seed by seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from unstuck.render.figures import number as written
from unstuck.render.lines import clean
from unstuck.render.pictures.lines import HEADINGS, line_chart, run_table
from unstuck.render.pictures.picture import (
    NEUTRAL,
    SICK,
    WELL,
    Picture,
    Row,
    Spec,
    layered,
    legend,
    shown,
    vertical,
)
from unstuck.report import Curve, Trial

GIVEN: Final = "as given"
CURED: Final = "with the remedy"


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
    caption = f"The {split} loss over {seeds} seeds: the line is their mean, the band their range"
    if seeds == 1:
        caption = f"The {split} loss from one seed"
    if given and _bands(GIVEN, given) == [] or len(_bands(GIVEN, given)) < len(given[0].steps if given else ()):
        caption += "; a curve ends where a run is no finite number any more"
    spec = line_chart(rows, runs, (SICK if GIVEN in runs else WELL, WELL), f"{split} loss", [])
    switch = min(row["low"] for row in rows) > 0
    title = "As given, and with the remedy"
    return Picture(name, title, caption + ".", spec, HEADINGS, run_table(rows, runs), switchable=switch)


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
            "encoding": {"x": across, "y": y, "color": legend("run", (GIVEN, SICK), (CURED, WELL)), "tooltip": tips},
        },
    ]
    spec = layered(layers, height=max(70, 26 * len(rows)))
    gain = trial.gain
    caption = f"{score.capitalize()} per seed at equal budget, paired"
    if gain.interval is not None:
        caption += (
            f"; the gain is {written(gain.value)} of the span, 95 % interval {written(gain.interval.low)} to "
            f"{written(gain.interval.high)}"
        )
    table = tuple((row["seed"], row["before"], row["after"]) for row in rows)
    return Picture("seeds", "The trial, seed by seed", caption + ".", spec, ("seed", GIVEN, CURED), table)
