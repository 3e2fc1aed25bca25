"""How numbers are written."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstuck.quantity import Quantity, Threshold
from unstuck.render.figures import against, amount, duration, number, share


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (3.0, "3"),
        (0.1, "0.1"),
        (0.00001, "0.00001"),
        (0.0000321, "0.0000321"),
        (0.0000012345, "1.23e-6"),
        (0.041234, "0.0412"),
        (2.3054, "2.31"),
        (99.96, "100"),
        (1234.5, "1234"),
        (123456.0, "123456"),
        (9_999_999.0, "1e7"),
        (12_345_678.0, "1.23e7"),
        (4.1e9, "4.1e9"),
        (1e300, "1e300"),
        (5e-324, "4.94e-324"),
        (-0.5, "-0.5"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
    ],
)
def test_a_number_has_three_digits_and_no_long_tail(value: float, text: str) -> None:
    assert number(value) == text


@given(st.floats(-1e307, 1e307), st.integers(2, 6))
def test_a_written_number_is_the_number_to_that_many_digits(value: float, digits: int) -> None:
    text = number(value, digits)
    assert len(text) <= 14
    assert float(text) == pytest.approx(value, rel=10.0 ** (1 - digits), abs=0.0)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.984, "98%"), (0.997, "99.7%"), (1.0, "100%"), (0.99999, "100%"), (0.0, "0%"), (-0.0001, "-0.0%"),
     (0.004, "0.4%"), (-0.13, "-13%"), (57.0, "5700%"), (math.nan, "nan"), (-math.inf, "-inf")],
)  # fmt: skip
def test_a_share_is_a_percentage(value: float, text: str) -> None:
    assert share(value) == text.replace("-0.0", "0")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.6104, "0.61 s"), (11.42, "11 s"), (200.0, "3 min 20 s"), (math.nan, "nan s")]
)
def test_a_duration_is_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("quantity", "text"),
    [
        (Quantity("q", 3.0), "above 2"),
        (Quantity("q", 1.0, "1", 0.5, 1.5), "below 2"),
        (Quantity("q", 1.9, "1", 1.5, 2.5), "astride 2"),
        (Quantity("q", 2.0), "equal to 2"),
        (Quantity("q", math.nan), "limit 2"),
        (Quantity("q", math.inf), "above 2"),
    ],
)
def test_a_quantity_says_how_it_lies_to_its_limit(quantity: Quantity, text: str) -> None:
    assert against(quantity, Threshold(2.0, "1", "a paper")) == text


def test_a_unit_stands_behind_the_number_and_a_plain_ratio_has_none() -> None:
    assert amount(Quantity("time", 1.5, "s", 1.0, 2.0)) == "1.5 s [1, 2]"
    assert amount(Quantity("ratio", 1.5)) == "1.5"
    assert amount(Quantity("share of the units", 0.5, "share of the units")) == "0.5"
