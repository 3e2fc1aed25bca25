"""Whether the test inputs differ from the training inputs, where, and how the model itself sees them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np
from torch import Tensor, nn

from unstuck.edits.last_layer import last_affine
from unstuck.errors import UnstuckError
from unstuck.loop.evaluate import predict
from unstuck.measure.features import Table, flattened, inputs_of
from unstuck.measure.learners import quietly
from unstuck.measure.preparation import Prepared, Trained
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.shift.permutation import compare, largest
from unstuck.measure.shift.ratio import Ratio, density_ratio
from unstuck.measure.shift.test_data import TestGap, sample_losses, test_inputs
from unstuck.measure.two_sample import comparable
from unstuck.quantity import Threshold
from unstuck.setup import Data, Setup, StackedData
from unstuck.setup.randomness import isolated, one_thread

SIDE: Final = 400
"""Samples of each side at most: the kernel test takes the square of their number."""

LISTED: Final = 5
"""Features and samples that are named."""

SHOWN: Final = 12
"""Samples that are shown."""

BINS: Final = 24
REACH: Final = 3.0
"""Decades to both sides of a ratio of 1."""

CHANCE: Final = Threshold(
    0.05, "p-value", "a false alarm once in twenty (Fisher 1925); all tests and all features allowed for"
)


@final
@dataclass(frozen=True, slots=True)
class Moved:
    """A feature that is distributed otherwise in the test data.

    Attributes:
        number: Its place in the flattened input.
        distance: Largest distance of the two distribution functions (Kolmogorov–Smirnov).
        p_value: Corrected for the number of features (Holm, "A simple sequentially rejective procedure", 1979).
    """

    number: int
    distance: float
    p_value: float


@final
@dataclass(frozen=True, slots=True)
class RatioHistogram:
    """How often inputs come whose density in the test data is so many times that in training.

    Attributes:
        edges: Of the ranges of the ratio's decimal logarithm, shape `[B + 1]`; the outermost take what lies beyond.
        held_out: Held-out samples in each, shape `[B]`.
        test: Test samples in each, shape `[B]`.
        classifier: What the ratios come from.
    """

    edges: tuple[float, ...]
    held_out: tuple[int, ...]
    test: tuple[int, ...]
    classifier: str


@final
@dataclass(frozen=True, slots=True)
class InputDrift:
    """Do the test inputs come from the distribution of the training inputs?

    Attributes:
        p_value: Of a difference this large by chance, by all four tests together.
        p_values: By each of `permutation.TESTS`.
        area: Cross-validated area under the ROC curve of telling test from training inputs.
        own_p_value: The same on what the trained model's last layer takes in; NaN where it cannot be read.
        own_area: Likewise.
        moved: Features that differ, the furthest first; empty where an input is no table of numbers.
        rows: Rows of the test split that are least like the training inputs.
        effective: Share of the training samples that is left, effectively, once they are weighted to the test inputs.
        weighted: Held-out loss, weighted likewise: what the test loss would be if inputs were all that differs.
        samples: Training samples looked at.
        test_samples: Test samples looked at.
        unlike: Rows of the test split that are least like the training inputs, the least alike first.
        ratios: How often the density ratio lies in each of its ranges; None where it could not be told.
    """

    cost: ClassVar[float] = 0.5

    p_value: float
    p_values: tuple[float, ...]
    area: float
    own_p_value: float
    own_area: float
    moved: tuple[Moved, ...]
    rows: tuple[int, ...]
    effective: float
    weighted: float
    samples: int
    test_samples: int
    unlike: tuple[int, ...] = ()
    ratios: RatioHistogram | None = None

    @classmethod
    def measure(cls, prepared: Prepared, trained: Trained, gap: TestGap) -> InputDrift:
        """Compare, where the gap asks for it.

        Args:
            prepared: The set-up with its splits.
            trained: The run as given.
            gap: Of the test loss.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If the test loss is as low as the held-out loss, or there is too little to compare.
        """
        if not gap.open:
            raise NotMeasurable("the test loss is as low as the held-out loss")
        setup = prepared.setup
        other = test_inputs(setup)
        with isolated(0), one_thread(), quietly():
            ours, theirs = input_tables(setup, other)
            found = compare(ours, theirs)
            own = _own(prepared, trained, other)
            ratio, weighted = _weighted(prepared, trained, other)
        chosen = _rows(other, len(theirs))
        worst = [int(chosen[place]) for place in largest(found.scores[len(ours) :], SHOWN)]
        return cls(
            p_value=found.p_value,
            p_values=found.p_values,
            area=found.area,
            own_p_value=own[0],
            own_area=own[1],
            moved=_moved(setup, other),
            rows=tuple(sorted(worst[:LISTED])),
            effective=math.nan if ratio is None else ratio.effective / len(ratio.weights),
            weighted=weighted,
            samples=len(ours),
            test_samples=len(theirs),
            unlike=tuple(worst),
            ratios=None if ratio is None else _histogram(ratio),
        )

    @property
    def differs(self) -> bool:
        """Whether the inputs differ beyond chance."""
        return self.p_value <= CHANCE.value


def input_tables(setup: Setup, other: Data, side: int = SIDE) -> tuple[Table, Table]:
    """Training and test inputs as tables with the same columns; `NotMeasurable` where they cannot be compared."""
    return comparable(inputs_of(setup.train.head(side)), inputs_of(other.head(side)), "test")


def _histogram(ratio: Ratio) -> RatioHistogram:
    edges = np.linspace(-REACH, REACH, BINS + 1)
    decades = np.clip(ratio.odds / math.log(10.0), -REACH, REACH)
    sides = decades[: len(ratio.weights)], decades[len(ratio.weights) :]
    held_out, test = (tuple(np.histogram(side, edges)[0].tolist()) for side in sides)
    return RatioHistogram(tuple(edges.tolist()), held_out, test, ratio.classifier)


def _rows(data: Data, count: int) -> Table:
    """Which rows `head` has taken."""
    size = data.size or count
    return np.round(np.linspace(0, size - 1, count))


def _own(prepared: Prepared, trained: Trained, other: Data) -> tuple[float, float]:
    """p-value and area by the model's own features."""
    try:
        # Held-out samples: those it was trained on would differ from any others.
        ours, theirs = (own_features(prepared.setup, trained.run.model, data) for data in (prepared.held_out, other))
        found = compare(*comparable([ours], [theirs], "test"))
    except (UnstuckError, NotMeasurable):
        return math.nan, math.nan
    return found.p_value, found.area


def own_features(setup: Setup, model: nn.Module, data: Data) -> Tensor:
    """What the last linear layer of a trained model takes in, `[N, D]` on the CPU.

    Args:
        setup: Knows how to call the model.
        model: Trained.
        data: The split.

    Returns:
        The features.

    Raises:
        RemedyError: If the outputs come from no such layer.
    """
    import torch

    parts: list[Tensor] = []
    with _noting(model.get_submodule(last_affine(setup)), parts):
        predict(setup, model, data.head(SIDE))
    return torch.cat([flattened(part) for part in parts])


@contextmanager
def _noting(module: nn.Module, parts: list[Tensor]) -> Iterator[None]:
    def note(_: nn.Module, arguments: Any) -> None:
        parts.append(arguments[0].detach().cpu())

    handle = module.register_forward_pre_hook(note)
    try:
        yield
    finally:
        handle.remove()


def _moved(setup: Setup, other: Data) -> tuple[Moved, ...]:
    """The features of one table of numbers that differ, by the test of Kolmogorov and Smirnov, Holm's correction."""
    from scipy.stats import ks_2samp

    ours, theirs = inputs_of(setup.train.head(SIDE)), inputs_of(other.head(SIDE))
    if len(ours) != 1 or ours[0].dim() != 2 or not ours[0].is_floating_point():
        return ()
    tests = [ks_2samp(*pair) for pair in zip(ours[0].T.double().numpy(), theirs[0].T.double().numpy(), strict=True)]
    order = sorted(range(len(tests)), key=lambda number: float(tests[number].pvalue))
    worst, found = 0.0, []
    for place, number in enumerate(order):
        worst = max(worst, min(1.0, float(tests[number].pvalue) * (len(order) - place)))
        if worst <= CHANCE.value:
            found.append(Moved(number, float(tests[number].statistic), worst))
    return tuple(sorted(found, key=lambda one: -one.distance)[:LISTED])


def _weighted(prepared: Prepared, trained: Trained, other: Data) -> tuple[Ratio | None, float]:
    """Weights of the held-out samples towards the test inputs, and their loss under these."""
    held_out = prepared.held_out
    if not isinstance(held_out, StackedData) or held_out.size > 2000:
        return None, math.nan
    try:
        ours, theirs = comparable(inputs_of(held_out.head(held_out.size)), inputs_of(other.head(SIDE)), "test")
        ratio = density_ratio(ours, theirs)
    except NotMeasurable:
        return None, math.nan
    losses = sample_losses(prepared.setup, trained, held_out).numpy()
    return ratio, float((ratio.weights * losses).mean())
