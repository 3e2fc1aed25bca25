"""Numbers as sentences say them."""

import math

import pytest

from unstuck.quantity import roughly


@pytest.mark.parametrize(
    ("value", "told"),
    [(130.4, "130"), (99_999.0, "100000"), (1_234_567.0, "1.2e+06"), (2.345, "2.3"), (1.0, "1"), (0.00834, "0.0083"),
     (8.34e-8, "8.3e-08"), (-14.2, "-14"), (math.inf, "inf"), (math.nan, "nan")],
)  # fmt: skip
def test_two_digits_without_an_exponent_where_one_reads_the_number(value: float, told: str) -> None:
    assert roughly(value) == told
