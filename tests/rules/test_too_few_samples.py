"""What the curve over the number of samples is taken for."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.tiny import comparison, scores
from unstuck.measure.protocol import Unmeasured
from unstuck.measure.sample_curve import SampleCurve, extrapolated
from unstuck.report import Outcome, Verdict
from unstuck.rules.too_few_samples import judge

KNOWN = replace(comparison(0.05), given=scores(0.05, 0.5), comparators=())
NO_WIDTHS = Unmeasured("not asked")


def verdict(fall: float, low: float, high: float) -> Verdict:
    curve = extrapolated((20, 20, 40, 40, 80, 80), (0.9, 0.9, 0.7, 0.7, 0.5, 0.5))
    assert isinstance(curve, SampleCurve)
    return judge(KNOWN, replace(curve, last_doubling=(fall, low, high)), NO_WIDTHS)


@pytest.mark.parametrize(
    ("doubling", "outcome"),
    [
        ((0.2, 0.1, 0.3), Outcome.PRESENT),
        ((0.2, -0.01, 0.41), Outcome.UNDECIDED),
        ((0.05, 0.04, 0.06), Outcome.ABSENT),
        ((-0.1, -0.2, 0.0), Outcome.ABSENT),
        ((0.2, -math.inf, math.inf), Outcome.UNDECIDED),
    ],
)
def test_the_last_doubling_decides(doubling: tuple[float, float, float], outcome: Outcome) -> None:
    assert verdict(*doubling).outcome is outcome


def test_a_single_run_has_no_interval() -> None:
    assert verdict(0.2, -math.inf, math.inf).evidence[0].quantity.interval is None
