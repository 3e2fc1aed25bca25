"""What a measurement is: a frozen dataclass of plain numbers that knows how to measure itself.

`cost` is what it costs, in training runs of the set-up. `measure` is a class method whose parameters say by their
annotations what it needs: other measurements, or the materials that `examine` provides (`Setup`, `Prepared`,
`Trained`). A parameter annotated `Callable[[], T]` is measured only when it is called; it raises `NotMeasurable` where
`T` cannot be had.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, slots=True)
class Unmeasured:
    """A measurement that could not be taken.

    Attributes:
        reason: Why not, as a sentence.
    """

    reason: str


class NotMeasurable(Exception):
    """Raised inside `measure` where a set-up does not have what the measurement looks at."""
