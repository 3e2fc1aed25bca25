"""What was tried: the gain of every remedy with its interval, against what counts."""

from __future__ import annotations

import math
from typing import Final

from unstuck.render.figures import share
from unstuck.render.lines import clean
from unstuck.render.pictures.picture import INK, NEUTRAL, THIRD, WELL, Picture, Row, Spec, layered, shown
from unstuck.report import Outcome, Report

COUNTS: Final = 0.1
"""The share of the span from which a gain counts (`unstuck.measure.comparison.LARGE`), drawn as a line."""
WORDS: Final = {Outcome.PRESENT: "cures", Outcome.UNDECIDED: "left open", Outcome.ABSENT: "does not help"}
MOST: Final = 30


def trials(report: Report) -> Picture | None:
    """Every remedy that was tried, by its gain.

    Args:
        report: Its findings, and what was ruled out, hold the trials.

    Returns:
        The picture; None where fewer than two were tried.
    """
    rows: list[Row] = []
    for finding in (*report.findings, *report.ruled_out):
        trial = finding.trial
        if trial is None or not math.isfinite(trial.gain.value):
            continue
        low, high = (trial.gain.low, trial.gain.high) if trial.gain.interval else (None, None)
        known = low is not None and high is not None and math.isfinite(low) and math.isfinite(high)
        name = clean(f"{finding.rule.code} {finding.rule.name}", 60)
        rows.append(
            {
                "at": name,
                "value": trial.gain.value,
                "low": max(-1.0, low) if known and low is not None else trial.gain.value,
                "high": min(1.0, high) if known and high is not None else trial.gain.value,
                "what": WORDS[trial.outcome],
                "seeds": len(trial.seeds),
            }
        )
    rows = sorted(rows, key=lambda row: -row["value"])[:MOST]
    if len(rows) < 2:
        return None
    names = [row["at"] for row in rows]
    y: Spec = {"field": "at", "type": "nominal", "sort": names, "title": None, "axis": {"labelLimit": 210}}
    x: Spec = {
        "field": "value",
        "type": "quantitative",
        "title": "gain",
        "axis": {"format": ".0%", "tickCount": 6},
    }
    colour: Spec = {
        "field": "what",
        "type": "nominal",
        "title": None,
        "legend": {"orient": "top"},
        "scale": {"domain": list(WORDS.values()), "range": [WELL, THIRD, NEUTRAL]},
    }
    tips = [
        shown("at", "", "nominal"),
        shown("what", "", "nominal"),
        shown("value", "gain", form=".1%"),
        shown("low", "from", form=".1%"),
        shown("high", "to", form=".1%"),
        shown("seeds", "seeds", form="d"),
    ]
    layers: list[Spec] = [
        {
            "mark": {"type": "rule", "strokeWidth": 3, "opacity": 0.6, "clip": True},
            "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y, "color": colour},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
            "encoding": {"x": x, "y": y, "color": colour, "tooltip": tips},
        },
        {
            "data": {"values": [{"edge": COUNTS}]},
            "mark": {"type": "rule", "strokeDash": [4, 4], "color": INK, "opacity": 0.7},
            "encoding": {"x": {"field": "edge", "type": "quantitative"}},
        },
    ]
    spec = layered(layers, height=max(60, 26 * len(rows)), data={"values": rows})
    best = rows[0]
    counts = f"from {share(COUNTS)} (dashed) a gain counts"
    gains = f"{best['at']} gains {share(best['value'])}"
    caption = f"Every remedy that was tried, as a share of the span, with its 95 % interval; {counts}. {gains}."
    table = tuple((row["at"], row["what"], row["value"], row["low"], row["high"], row["seeds"]) for row in rows)
    return Picture(
        "trials", "What was tried", caption, spec, ("remedy of", "outcome", "gain", "low", "high", "seeds"), table
    )
