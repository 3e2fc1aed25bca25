"""The noise floor and the time of a batch, where they are shown."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.render import samples
from unstuck.render.floor import floor_of, left_over
from unstuck.render.html import to_html
from unstuck.render.pictures import pictures
from unstuck.render.text import plain
from unstuck.report import Report


def with_floor(given: float, **floor: Any) -> Report:
    found = {"value": 0.12, "low": 0.04, "high": 0.16, "learner": "gradient boosting", "constant": 0.5, **floor}
    scores = {"scores": {"held_out": {"error": given}}}
    return dataclasses.replace(samples.healthy(), chart={"NoiseFloor": found, "FinalScores": scores})


def test_the_floor_is_told_on_the_scale_of_the_best_constant() -> None:
    floor = floor_of(with_floor(0.25))
    assert floor is not None and (floor.given, floor.value, floor.low, floor.high) == (0.25, 0.24, 0.08, 0.32)
    assert left_over(with_floor(0.25))[0] == (
        "Of the best constant's error 25% is left on held-out samples; gradient boosting leaves 24%, at most 32%."
    )


@pytest.mark.parametrize(
    ("given", "low", "says"),
    [
        (0.5, 0.04, "another kind of model finds more in these data."),
        (0.25, 0.1, "At least 20% is likely noise, as far as nearest neighbours tell."),
        (0.25, 0.04, "whether it is noise cannot be told."),
    ],
)
def test_what_it_means_depends_on_where_the_run_stands(given: float, low: float, says: str) -> None:
    report = with_floor(given, low=low)
    assert left_over(report)[1].endswith(says)
    assert "What is left\n" in plain(report) and says in " ".join(plain(report).split())
    assert says in to_html(report).replace("&#39;", "'")


def test_of_numbers_no_noise_is_claimed() -> None:
    report = with_floor(0.94, value=0.95, low=0.89, high=1.01, constant=1.0)
    assert left_over(report)[1].endswith("whether it is noise cannot be told.")


@pytest.mark.parametrize("broken", [{"value": "nan"}, {"constant": 0.0}, {"learner": 3}, {"high": None}])
def test_without_the_measurement_nothing_is_said(broken: dict[str, Any]) -> None:
    assert left_over(with_floor(0.25, **broken)) == () == left_over(samples.healthy())
    assert "What is left" not in plain(with_floor(0.25, **broken))


def test_the_time_of_a_batch_is_a_picture() -> None:
    times = [
        {"batch_size": size, "update_seconds": seconds, "epoch_seconds": seconds * 1000 / size}
        for size, seconds in ((8, 0.001), (32, 0.002), (128, 0.004))
    ]
    report = dataclasses.replace(samples.sick(), chart={"BatchTiming": {"device": "cpu", "times": times}})
    drawn = pictures(report)["batch-time"]
    assert drawn.caption == "On cpu an update takes 0.001 s at batch size 8, 0.004 s at 128."
    assert drawn.rows[1] == (32, 0.002, 62.5 / 1000) and len(drawn.spec["data"]["values"]) == 6
    one = {"BatchTiming": {"device": "cpu", "times": times[:1]}}
    assert "batch-time" not in pictures(dataclasses.replace(samples.sick(), chart=one))
