"""How numbers are written: three significant digits, plain where that is clearer, never a long tail."""

from __future__ import annotations

import math
from typing import Final

from unstuck.quantity import Quantity, Threshold
from unstuck.render.lines import clean, named

SMALLEST_PLAIN: Final = 1e-5
LARGEST_PLAIN: Final = 1e7
LONGEST_UNIT: Final = 60
SAME_AS: Final = {"-0": "0", "0.0": "0", "-0.0": "0", "100.0": "100"}


def number(value: float, digits: int = 3) -> str:
    """Write a number for a reader.

    Args:
        value: Any float, also NaN or infinite.
        digits: Significant digits; digits before the decimal point are never rounded away.

    Returns:
        Such as "0.0412", "1284", "3.1e+12", "nan", "-inf".
    """
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if value == 0:
        return "0"
    size = abs(float(f"{value:.{digits - 1}e}"))
    if SMALLEST_PLAIN <= size < LARGEST_PLAIN:
        decimals = max(0, digits - 1 - math.floor(math.log10(size)))
        text = f"{value:.{decimals}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}e{int(exponent)}"


def share(value: float) -> str:
    """Write a share of one as a percentage: 0.984 is "98%".

    Args:
        value: The share; NaN and infinities are kept as such.

    Returns:
        The percentage, with one decimal where it lies within a per cent of 0 or 100.
    """
    if not math.isfinite(value):
        return number(value)
    per_cent = 100 * value
    if abs(per_cent) >= 1000:
        return f"{number(per_cent)}%"
    near_an_end = 0 < abs(per_cent) < 1 or 99 < per_cent < 100
    text = f"{per_cent:.1f}" if near_an_end else f"{per_cent:.0f}"
    return f"{SAME_AS.get(text, text)}%"


def duration(seconds: float) -> str:
    """Write a time: "0.84 s", "12 s", "3 min 20 s"."""
    if not math.isfinite(seconds):
        return f"{number(seconds)} s"
    if abs(seconds) < 10:
        return f"{number(seconds, 2)} s"
    if abs(seconds) < 120:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def unit_of(quantity: Quantity) -> str:
    """The unit with a space in front, nothing for a plain ratio and for a unit that the name says already."""
    unit = named(quantity.unit, LONGEST_UNIT)
    return (
        "" if unit in {"", "1"} or unit.lower() in quantity.name.lower() else f" {clean(quantity.unit, LONGEST_UNIT)}"
    )


def spread(quantity: Quantity, as_share: bool = False) -> str:
    """The 95 % interval in brackets, or "" where there is none."""
    write = share if as_share else number
    if quantity.interval is None:
        return ""
    return f"[{write(quantity.interval.low)}, {write(quantity.interval.high)}]"


def amount(quantity: Quantity) -> str:
    """Value, unit and interval: "41.2 s [38.9, 43.5]"."""
    return f"{number(quantity.value)}{unit_of(quantity)} {spread(quantity)}".rstrip()


def against(quantity: Quantity, limit: Threshold) -> str:
    """How a quantity lies to a limit: "above 2", "below 2", "astride 2".

    Args:
        quantity: What was measured.
        limit: What it is held against.

    Returns:
        The comparison that the numbers themselves bear; "limit 2" where they bear none.
    """
    threshold = number(limit.value)
    if math.isnan(quantity.value):
        return f"limit {threshold}"
    interval = quantity.interval
    if interval is not None and interval.low < limit.value < interval.high:
        return f"astride {threshold}"
    if quantity.value == limit.value:
        return f"equal to {threshold}"
    return f"{'above' if quantity.value > limit.value else 'below'} {threshold}"
