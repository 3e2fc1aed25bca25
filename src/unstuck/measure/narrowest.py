"""The narrowest place between the layers of a network."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import ClassVar, final

from unstuck.edits.widening import hidden_widths
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import Setup


@final
@dataclass(frozen=True, slots=True)
class Narrowest:
    """The hidden layer with the fewest units or channels, against the others.

    Attributes:
        names: Of the layers that share that width, in the order in which they run.
        width: Units or channels.
        others: Median width of the other hidden layers.
        layers: Number of hidden widths that are free to change.
    """

    cost: ClassVar[float] = 0.0

    names: tuple[str, ...]
    width: int
    others: float
    layers: int

    @classmethod
    def measure(cls, setup: Setup) -> Narrowest:
        """Run the model once, and read its widths.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If there are no two hidden layers whose widths are free.
        """
        groups = hidden_widths(setup)
        if len(groups) < 2:
            raise NotMeasurable("there are no two hidden layers whose widths could be changed")
        least = min(groups, key=lambda group: group.width)
        others = statistics.median(group.width for group in groups if group is not least)
        return cls(least.names, least.width, float(others), len(groups))

    @property
    def ratio(self) -> float:
        """Its width over that of the others."""
        return self.width / self.others if self.others > 0.0 else 1.0
