"""Whether targets belong to the inputs beside them, or to those some places away."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor

from unstuck.measure.features import Features, inputs_of
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import Data, Setup, StackedData
from unstuck.setup.batch import map_tensors
from unstuck.setup.randomness import isolated, one_thread

SAMPLES: Final = 256
"""Samples whose inputs are compared with each other; their number squared is what a shift costs."""

SHUFFLES: Final = 40
"""Shuffles of the targets, for the mean and the deviation of the dependence where there is none."""

FARTHEST: Final = 8
"""Places up to which targets are shifted; further off only a whole batch is tried."""

ALIVE: Final = 6.0
"""Deviations of shuffled targets above which inputs and targets, as given, have to do with each other: twice the
largest of fifty shuffles on any of the benchmark's bases."""

FEWEST: Final = 40
"""Training samples below which the dependence is lost in that of the shuffles."""

WIDEST: Final = 64
"""Numbers of one target that are compared at most."""


@final
@dataclass(frozen=True, slots=True)
class Alignment:
    """How far inputs and targets of the training split depend on each other, as given and otherwise aligned.

    The dependence is the Hilbert-Schmidt independence criterion (Gretton et al., "Measuring statistical dependence
    with Hilbert-Schmidt norms", 2005) with Gaussian kernels of median width, and for classes whether they are equal;
    in standard deviations above the mean of shuffled targets.

    Attributes:
        samples: Number of training samples.
        compared: Number of samples that the dependence is taken of.
        as_given: Dependence as given.
        best: The largest dependence of any other alignment; NaN where `as_given` needs none.
        shift: By how many places the targets of the best one come too late.
        reversed: Whether its targets run backwards.
        tried: Number of alignments tried.
        input_scatter: Standard deviation of the standardised inputs; 0 where all samples are alike.
        target_values: Number of different targets among those compared.
    """

    cost: ClassVar[float] = 0.0

    samples: int
    compared: int
    as_given: float
    best: float
    shift: int
    reversed: bool
    tried: int
    input_scatter: float
    target_values: int

    @classmethod
    def measure(cls, setup: Setup) -> Alignment:
        """Search shifts and the reverse order, unless the targets as given depend on their inputs.

        Args:
            setup: As given, before any samples are held out: the order counts.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If the samples have no order, or there are too few.
        """
        data = setup.train
        if not isinstance(data, StackedData):
            raise NotMeasurable("the samples come from a loader, so their order cannot be searched")
        if data.size < FEWEST:
            raise NotMeasurable(f"an alignment needs {FEWEST} samples; there are {data.size}")
        targets = setup.targets(data.samples)
        if not isinstance(targets, Tensor) or len(targets) != data.size:
            raise NotMeasurable("targets must be one tensor with a row a sample")
        with isolated(0), one_thread():
            return _search(setup, data, targets.detach().cpu())


def realigned(targets: Tensor, shift: int, backwards: bool) -> Tensor:
    """Targets that come `shift` places too late, or backwards, in the order of their inputs."""
    return (targets.flip(0) if backwards else targets).roll(-shift, 0)


def alignments(data: Data, size: int) -> Iterator[tuple[int, bool]]:
    """Shifts to try, the smallest first, and the reverse order."""
    near = min(FARTHEST, size // 4)
    shifts = [sign * step for step in range(1, near + 1) for sign in (1, -1)]
    if near < data.batch_size < size // 2:
        shifts += [data.batch_size, -data.batch_size]
    yield from ((shift, False) for shift in shifts)
    yield from ((shift, True) for shift in (0, 1, -1))


def _search(setup: Setup, data: StackedData, targets: Tensor) -> Alignment:
    count = min(SAMPLES, data.size)
    chosen = torch.linspace(0, data.size - 1, count).round().long()
    some = map_tensors(data.samples, lambda tensor: tensor[chosen.to(tensor.device)])
    inputs = inputs_of([some])
    if not inputs or any(len(part) != count for part in inputs):
        raise NotMeasurable("inputs must have a row a sample")
    table = torch.from_numpy(Features.fit(inputs).table(inputs)).nan_to_num(0.0, 0.0, 0.0)
    kernel = _centred(_gaussian(table))
    given = _target_kernel(targets[chosen])
    shuffles = [torch.randperm(count, generator=torch.Generator().manual_seed(seed)) for seed in range(SHUFFLES)]
    null = torch.stack([(kernel * given[order][:, order]).sum() for order in shuffles])
    middle, spread = float(null.mean()), float(null.std())

    def dependence(of: Tensor) -> float:
        return (float((kernel * of).sum()) - middle) / spread if spread > 0.0 else 0.0

    as_given, best, shift, backwards = dependence(given), math.nan, 0, False
    scatter, values = float(table.std()), len(targets[chosen].reshape(count, -1)[:, :WIDEST].unique(dim=0))
    ways: list[tuple[int, bool]] = []
    if as_given < ALIVE and spread > 0.0:
        ways = list(alignments(data, data.size))
        for step, flipped in ways:
            found = dependence(_target_kernel(realigned(targets, step, flipped)[chosen]))
            if not found <= best:
                best, shift, backwards = found, step, flipped
    return Alignment(data.size, count, as_given, best, shift, backwards, len(ways), scatter, values)


def _centred(kernel: Tensor) -> Tensor:
    return kernel - kernel.mean(0) - kernel.mean(1, keepdim=True) + kernel.mean()


def _gaussian(rows: Tensor) -> Tensor:
    squares = torch.cdist(rows, rows).square()
    apart = squares[squares > 0.0]
    return torch.exp(-squares / apart.median()) if apart.numel() else torch.ones_like(squares)


def _target_kernel(targets: Tensor) -> Tensor:
    rows = targets.reshape(len(targets), -1)[:, :WIDEST].double()
    if not targets.is_floating_point():
        return (rows[:, None, :] == rows[None]).double().mean(2)
    return _gaussian(rows.nan_to_num(0.0, 0.0, 0.0))
