"""Loss curves as text."""

from __future__ import annotations

import math

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.render.strategies import curves
from unstuck.render.lines import bare, cells
from unstuck.render.plot import common_scale, side_by_side
from unstuck.report import Curve

FALLING = Curve("falling", (0, 1, 2, 3), (4.0, 3.0, 2.0, 1.0))
FLAT = Curve("flat", (0, 1, 2, 3), (4.0, 4.0, 4.0, 4.0))


def test_a_falling_line_falls_from_corner_to_corner_beside_a_flat_one() -> None:
    drawn = [bare(row) for row in side_by_side([FALLING, FLAT], ["", ""], 32, indent="", rows=2)]
    assert drawn == [
        "   falling         flat",
        "   4 → 1           4 → 4",
        "4 ┤⠉⠓⠒⠲⠤⣄⡀        ┤⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉",
        "1 ┤      ⠉⠓⠒⠦⢤⣀   ┤",
        "  └────────────   └────────────",
        "   0     step 3    0     step 3",
    ]


def test_a_curve_that_diverges_leaves_the_scale_and_the_other_keeps_its_shape() -> None:
    wild = Curve("wild", (0, 1, 2, 3, 4), (4.0, 50.0, 1e9, math.inf, math.nan))
    scale = common_scale([wild, FALLING])
    assert scale.high == 8.0 and not scale.logarithmic
    top = bare(side_by_side([wild, FALLING], ["", ""], 60)[2])
    assert "↑" in top and "×" in top


def test_losses_far_apart_are_drawn_on_a_logarithmic_scale_that_says_so() -> None:
    deep = Curve("deep", (0, 1, 2), (10.0, 0.1, 0.001))
    assert "logarithmic scale" in bare(side_by_side([deep], [""], 60)[-1])


def test_no_value_is_no_plot() -> None:
    assert side_by_side([Curve("nothing", (), ())], [""], 80) == []


@settings(deadline=None, max_examples=50, suppress_health_check=list(HealthCheck))
@given(st.lists(curves(), min_size=1, max_size=2))
def test_any_curve_can_be_drawn_within_the_page(drawn: list[Curve]) -> None:
    for row in side_by_side(drawn, [""] * len(drawn), 80):
        assert cells(bare(row)) <= 80
