"""Numbers that say what they are: a name, a unit, an interval, a source."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % interval; an endpoint is infinite where nothing bounds it.

    Attributes:
        low: Lower end.
        high: Upper end, not below `low`.
    """

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        """Whether `value` lies inside, ends included."""
        return self.low <= value <= self.high


@final
@dataclass(frozen=True, slots=True)
class Quantity:
    """A measured number.

    Attributes:
        name: A noun phrase with its moment, such as "training loss at the end".
        value: The number; NaN where it could not be told.
        unit: Its unit, "1" for a plain ratio.
        low: Lower end of its 95 % interval, or None where none was estimated.
        high: Upper end, likewise.
    """

    name: str
    value: float
    unit: str = "1"
    low: float | None = None
    high: float | None = None

    @classmethod
    def within(cls, name: str, value: float, interval: Interval, unit: str = "1") -> Quantity:
        """A quantity with its interval."""
        return cls(name, value, unit, interval.low, interval.high)

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval, where there is one."""
        if self.low is None or self.high is None:
            return None
        return Interval(self.low, self.high)


@final
@dataclass(frozen=True, slots=True)
class Threshold:
    """A limit that a quantity is held against.

    Attributes:
        value: The limit.
        unit: The unit of `value`.
        source: Where the number comes from: a paper with its year, or the measurement that set it.
    """

    value: float
    unit: str
    source: str

    def __post_init__(self) -> None:
        """Refuse a limit without a source or a number.

        Raises:
            ValueError: If the source is empty or the value is NaN.
        """
        if not self.source.strip() or math.isnan(self.value):
            raise ValueError(f"a threshold must have a value and a source; got {self!r}")


def roughly(value: float) -> str:
    """A number in a sentence: two significant digits, without an exponent from 0.0001 up to a million.

    Args:
        value: Any number.

    Returns:
        Such as "130", where a format of two digits gives "1.3e+02".
    """
    return f"{float(f'{value:.2g}'):g}"
