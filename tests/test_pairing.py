"""Pairing: what gains over seeds decide, and the curves that are kept of the runs."""

from __future__ import annotations

import math

import pytest

from tests.tiny import line
from unstuck.loop import fit
from unstuck.pairing import curve, decide
from unstuck.report import Outcome


@pytest.mark.parametrize(
    ("gains", "outcome"),
    [
        ([0.03], Outcome.ABSENT),
        ([0.031], Outcome.UNDECIDED),  # one seed proves nothing, however large
        ([1.0], Outcome.UNDECIDED),
        ([0.1, 0.1, 0.1], Outcome.PRESENT),
        ([0.099, 0.099, 0.099], Outcome.ABSENT),
        ([0.9, 0.8, 0.9], Outcome.PRESENT),
        ([0.9, 0.1, -0.5], Outcome.UNDECIDED),
        ([0.9, 0.0, 0.0], Outcome.UNDECIDED),
        ([0.2, -0.2, 0.04], Outcome.ABSENT),
        ([0.18, 0.99, 0.12, 0.28, 0.57], Outcome.PRESENT),  # every seed gains, some run as given failing altogether
        ([0.81, 0.03, 0.12, 0.23, 0.31], Outcome.PRESENT),
        ([0.81, -0.01, 0.12, 0.23, 0.31], Outcome.UNDECIDED),  # one is worse off
        ([0.99, 0.01, 0.02, 0.03, 0.05], Outcome.UNDECIDED),  # most gain next to nothing
        ([0.18, 0.99, 0.12, 0.28], Outcome.UNDECIDED),
        ([0.5, math.nan, 0.5], Outcome.UNDECIDED),
    ],
)
def test_gains_decide(gains: list[float], outcome: Outcome) -> None:
    assert decide(gains) is outcome


def test_a_curve_is_thinned_but_keeps_its_course() -> None:
    drawn_curve = curve("loss", fit(line(epochs=40)))
    assert len(drawn_curve.steps) == len(drawn_curve.values) <= 120
    assert drawn_curve.values[0] > 10 * drawn_curve.values[-1]
    assert drawn_curve.steps[0] == 0 and drawn_curve.steps[-1] < 320
