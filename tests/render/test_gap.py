"""The gap in its steps, on the page and as bars."""

from __future__ import annotations

import math
from dataclasses import replace

from tests.render import samples
from unstuck.measure.gap_split import HELD_OUT, TEST, TRAINING, GapSplit, Part, Step
from unstuck.quantity import Quantity
from unstuck.render.gap import bars, gap_lines
from unstuck.render.lines import bare
from unstuck.render.machine import from_json, to_json
from unstuck.report import Report
from unstuck.store import stored

SPLIT = GapSplit(
    parts=(Part(TRAINING, 0.02, math.nan, 96), Part(HELD_OUT, 0.22, math.nan, 24), Part(TEST, 0.92, math.nan, 40)),
    steps=(
        Step(TRAINING, HELD_OUT, Quantity("loss", 0.2, "loss", 0.1, 0.3), Quantity("error", math.nan), "overfitting"),
        Step(
            HELD_OUT, TEST, Quantity("loss", 0.7, "loss", -0.1, 1.5), Quantity("error", 0.1, "1", 0.0, 0.2), "mismatch"
        ),
    ),
    metric="share of wrong answers",
    seeds=1,
    untold=("the step to the moon: no rocket was given",),
)


def shown(split: GapSplit | None = SPLIT) -> Report:
    chart = {} if split is None else stored({GapSplit: split})
    return replace(samples.healthy(), chart=chart)


def test_the_table_fits_the_page_and_says_what_each_step_is() -> None:
    rows = [bare(row) for row in gap_lines(shown(), 80)]
    assert rows == [
        "                                       loss    error  samples",
        "  training                             0.02        –       96",
        "  held-out part of training            0.22        –       24",
        "  test                                 0.92        –       40",
        "",
        "  training → held-out part of training  ████",
        "    loss +0.2 [0.1, 0.3]",
        "    overfitting",
        "",
        "  held-out part of training → test  ██████████████",
        "    loss +0.7 [-0.1, 1.5]; error +0.1 [0, 0.2]",
        "    mismatch",
        "",
        "  95 % intervals over samples and one run, so that the spread over seeds is not",
        "  in it. The error is the share of wrong answers.",
        "  Not told: the step to the moon: no rocket was given.",
    ]


def test_the_table_fits_a_narrow_page() -> None:
    rows = [bare(row) for row in gap_lines(shown(), 60)]
    assert rows and max(map(len, rows)) <= 60


def test_nothing_is_shown_where_nothing_was_split() -> None:
    assert gap_lines(shown(None), 80) == [] and bars(shown(None)) == ()


def test_bars_are_the_steps_also_after_a_round_trip_through_json() -> None:
    kept = from_json(to_json(shown()))
    assert bars(kept) == bars(shown())
    first, second = bars(kept)
    assert (first.label, first.value, first.low) == ("training → held-out part of training", 0.2, 0.1)
    assert second.high == 1.5
