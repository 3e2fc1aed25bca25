"""What the test data can be asked at all: whether they have labels, and how far their loss lies above the held-out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch

from unstuck.loop.evaluate import predict, score_of
from unstuck.measure.comparison import LARGE, Comparison
from unstuck.measure.gap import gap
from unstuck.measure.preparation import Prepared, Trained
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import Data, Setup, StackedData
from unstuck.setup.randomness import one_thread


@final
@dataclass(frozen=True, slots=True)
class TestGap:
    """How far the test loss lies above the held-out loss.

    Attributes:
        gap: (test − held-out loss) / span from the best constant; NaN without test labels.
        low: Lower end of its 95 % interval.
        high: Upper end.
        labelled: Whether the test data have labels.
    """

    __test__ = False  # pytest takes the name for a test
    cost: ClassVar[float] = 0.0

    gap: float
    low: float
    high: float
    labelled: bool

    @classmethod
    def measure(cls, setup: Setup, comparison: Comparison) -> TestGap:
        """Take the gap from the comparison.

        Args:
            setup: Tells whether there are test inputs without labels.
            comparison: Where the run as given stands.

        Returns:
            The gap.

        Raises:
            NotMeasurable: If there are no test data.
        """
        if comparison.given.test is None:
            if setup.unlabelled is None:
                raise NotMeasurable("no test data were given")
            return cls(math.nan, -math.inf, math.inf, labelled=False)
        found = gap(comparison, "test", "held_out")
        low = -math.inf if found.low is None else found.low
        high = math.inf if found.high is None else found.high
        return cls(found.value, low, high, labelled=True)

    @property
    def large(self) -> bool:
        """Whether it matters, beyond its interval."""
        return self.gap >= LARGE.value and self.low > 0.0

    @property
    def open(self) -> bool:
        """Whether it is worth asking where it comes from: it is large, or cannot be told without labels."""
        return self.large or not self.labelled


def test_inputs(setup: Setup) -> Data:
    """The test data, with or without labels.

    Args:
        setup: What is examined.

    Returns:
        The split.

    Raises:
        NotMeasurable: If there is none.
    """
    data = setup.test if setup.test is not None else setup.unlabelled
    if data is None:
        raise NotMeasurable("no test data were given")
    return data


test_inputs.__test__ = False  # type: ignore[attr-defined]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Halves:
    """Two halves of the labelled test data: one that a correction may learn from, one that it is scored on.

    They are matched by the loss of the run as given, so that the control's loss is the same on both.

    Attributes:
        known: For the correction.
        scored: For the score.
    """

    known: StackedData
    scored: StackedData

    @classmethod
    def measure(cls, prepared: Prepared, trained: Trained) -> Halves:
        """Order the test samples by their loss, and deal them out in turn.

        Args:
            prepared: The set-up with its splits.
            trained: The run as given.

        Returns:
            The halves.

        Raises:
            NotMeasurable: If there are no labelled test samples in memory, or too few.
        """
        setup = prepared.setup
        if not isinstance(setup.test, StackedData):
            raise NotMeasurable("the test data must be held in memory, and labelled, to be halved")
        if setup.test.size < 20:
            raise NotMeasurable(f"{setup.test.size} test samples are too few to be halved")
        losses = sample_losses(setup, trained, setup.test)
        order = losses.argsort(stable=True)
        turn = torch.arange(len(order)) % 4
        first = (turn == 0) | (turn == 3)
        return cls(setup.test.subset(order[first].sort().values), setup.test.subset(order[~first].sort().values))


def sample_losses(setup: Setup, trained: Trained, data: StackedData) -> torch.Tensor:
    """The loss of the trained model on each sample of a split by itself.

    Args:
        setup: Gives the loss.
        trained: The run.
        data: The split.

    Returns:
        Shape `[N]`, float64.
    """
    with one_thread():
        single = data.with_batch_size(1).head(data.size)
        outputs = predict(setup, trained.run.model, single)
        losses = [score_of(setup, [output], [batch]).loss for output, batch in zip(outputs, single, strict=True)]
    return torch.tensor(losses, dtype=torch.float64).nan_to_num(nan=torch.inf)
