"""What is left of the task's error, against what other learners leave: the noise floor, where it decides."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from unstuck.render.figures import share
from unstuck.render.lines import Line, clean, wrap
from unstuck.render.pictures.picture import number, within
from unstuck.report import Report

HEADING: Final = "What is left"
HALF: Final = 0.5
"""Share of what is left from which the bound says something of it."""


class Floor(NamedTuple):
    """Shares of the error of the best constant prediction.

    Attributes:
        given: Left by the run as given, on held-out samples.
        value: Left by the best of other learners, on samples that it had not seen.
        low: What no model is expected to get below, as near neighbours tell; NaN for numbers, which have no such bound.
        high: Upper end of the interval of `value`.
        learner: Which learner.
    """

    given: float
    value: float
    low: float
    high: float
    learner: str


def floor_of(report: Report) -> Floor | None:
    """The noise floor of a report.

    Args:
        report: Its chart holds the floor where it was measured.

    Returns:
        The floor; None where it was not measured.
    """
    found = within(report.chart, "NoiseFloor")
    value, low, high, constant = (number(within(found, key)) for key in ("value", "low", "high", "constant"))
    given = number(within(report.chart, "FinalScores", "scores", "held_out", "error"))
    learner = within(found, "learner")
    if not all(map(math.isfinite, (value, low, high, given))) or not constant > 0 or not isinstance(learner, str):
        return None
    low = low / constant if constant < 1.0 else math.nan
    return Floor(given, value / constant, low, high / constant, clean(learner, 60))


def left_over(report: Report) -> tuple[str, ...]:
    """What is left, and what that means; empty where the floor was not measured."""
    floor = floor_of(report)
    if floor is None:
        return ()
    measured = (
        f"Of the best constant's error {share(floor.given)} is left on held-out samples; {floor.learner} leaves "
        f"{share(floor.value)}, at most {share(floor.high)}."
    )
    means = "Nothing that was tried finds more in these data; whether it is noise cannot be told."
    if floor.given > floor.high:
        means = "So some of it is not noise: another kind of model finds more in these data."
    elif floor.low >= HALF * floor.given:
        means = f"At least {share(floor.low)} is likely noise, as far as nearest neighbours tell."
    return clean(measured), clean(means)


def floor_lines(report: Report, width: int, indent: str) -> list[Line]:
    """The same as lines of a page."""
    says = " ".join(left_over(report))
    return wrap([says], width, indent) if says else []
