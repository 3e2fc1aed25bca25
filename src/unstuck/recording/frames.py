"""The rows of a record that wait to be written, by which series are known at the same steps."""

from __future__ import annotations

from array import array
from typing import final

from unstuck.recording.retention import Retention

Column = tuple[str, str]
"""Name and layer of a series; "" for the layer where it belongs to none."""


@final
class Frame:
    """Series that are known at the same steps, and the rows of them that wait to be written."""

    def __init__(self, columns: tuple[Column, ...]) -> None:
        """Hold no row yet."""
        self.columns = columns
        self.steps = array("q")
        self.values = array("d")
        self.dropped = 0
        self.retention = Retention(len(columns))

    def give_up_half(self) -> None:
        """Drop the older half of what waits."""
        half = len(self.steps) // 2
        del self.steps[:half]
        del self.values[: half * len(self.columns)]
        self.dropped += half
