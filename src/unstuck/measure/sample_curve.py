"""The learning curve over the number of training samples, and where it leads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, final

import torch

from unstuck.edits.schedule import paced
from unstuck.errors import UnstuckError
from unstuck.loop import fit
from unstuck.loop.clock import WorkClock
from unstuck.measure.comparison import LARGE, Comparison
from unstuck.measure.gap import gap
from unstuck.measure.preparation import Allowance, Prepared, Trained
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import Setup, StackedData

RUNS: Final = ((1.0, 5), (0.5, 5), (0.25, 2), (0.125, 2))
"""Runs on each share of the training samples, each on a random subset and from a seed of its own.

Of the whole, the run as given is one. The two largest sizes decide, the others lead the power law.
"""

FEWEST: Final = 6
"""Samples of the smallest subset."""

FEWEST_SIZES: Final = 3
"""Sizes, the whole included, from which three numbers of a power law can be told."""

FEWEST_RUNS: Final = 2
"""Runs of a size that have a spread."""

POWERS: Final = tuple(0.1 * step for step in range(1, 11))
"""Exponents that are tried: losses of networks fall with powers of 0.07 to 0.5 (Hestness et al. 2017), and by the
parametric rate with 1; none that is faster keeps its pace."""

LEAST: Final = 0.01
"""Share of the largest loss below which a loss does not count for more for being smaller."""

TINY: Final = 1e-100

FACTORS: Final = (2, 4, 10)
DRAWS: Final = 200
"""Draws of the parametric bootstrap."""

WITHIN: Final = 0.95
"""Share of the draws that an interval holds."""


@final
@dataclass(frozen=True, slots=True)
class Extrapolation:
    """What the power law says of a larger training set.

    Attributes:
        samples: Number of training samples.
        loss: Held-out loss that is expected.
        low: Lower end of its 95 % interval.
        high: Upper end.
    """

    samples: int
    loss: float
    low: float
    high: float


@final
@dataclass(frozen=True, slots=True)
class PowerLaw:
    """L(n) = floor + scale · n^−power.

    Attributes:
        floor: Loss with infinitely many samples.
        scale: Of what falls.
        power: How fast it falls.
    """

    floor: float
    scale: float
    power: float

    def at(self, samples: float) -> float:
        """The loss with so many samples."""
        return self.floor + self.scale * float(samples**-self.power)

    def samples_for(self, loss: float) -> float:
        """How many samples it takes to come down to a loss; infinite where the floor lies above it."""
        if not loss > self.floor or not self.scale > 0.0:
            return math.inf
        try:
            return float((self.scale / (loss - self.floor)) ** (1.0 / self.power))
        except OverflowError:
            return math.inf


@final
@dataclass(frozen=True, slots=True)
class SampleCurve:
    """Held-out loss against the number of training samples, for as many steps each, at its best epoch.

    C. Cortes et al., "Learning curves: asymptotic values and rate of convergence", 1993, fit the power law;
    T. Viering, M. Loog, "The shape of learning curves: a review", 2021, on when it holds. The interval is from a
    parametric bootstrap: runs are drawn anew about the fit with the deviation that they have from it.

    Attributes:
        sizes: Training samples of each run, shape `[R]`, ascending.
        losses: Lowest held-out loss of each run over its epochs, shape `[R]`.
        law: The power law through them.
        extrapolations: Two, four and ten times the samples.
        expected: What the law expects at the present number of samples.
        last_doubling: By how much the mean loss of all samples lies below that of half of them, and the ends of its
            95 % interval.
    """

    cost: ClassVar[float] = 5.0

    sizes: tuple[int, ...]
    losses: tuple[float, ...]
    law: PowerLaw
    extrapolations: tuple[Extrapolation, ...]
    expected: float
    last_doubling: tuple[float, float, float]

    @classmethod
    def measure(cls, prepared: Prepared, trained: Trained, allowance: Allowance, comparison: Comparison) -> SampleCurve:
        """Train on parts of the samples, where a gap leaves more of them something to close.

        Args:
            prepared: The set-up.
            trained: The run as given.
            allowance: How long all runs together may take.
            comparison: Tells whether there is a gap.

        Returns:
            The curve.

        Raises:
            NotMeasurable: If there is no gap to be closed, the samples cannot be singled out, or time is too short.
        """
        if comparison.training_is_large or not gap(comparison, "held_out", "training").value >= LARGE.value:
            raise NotMeasurable("there is no gap to held-out samples that more training samples would close")
        return sample_curve(prepared.setup, trained.run.validation_losses, allowance.run_seconds)


def sample_curve(setup: Setup, whole: Sequence[float], seconds: float) -> SampleCurve:
    """Measure the curve.

    Args:
        setup: What is trained; with a validation split.
        whole: Validation loss of the run on all samples after each epoch.
        seconds: Time of this thread's own work after which no further run is begun.

    Returns:
        The curve.

    Raises:
        NotMeasurable: If the samples cannot be singled out, or too few runs come to an end.
    """
    train = setup.train
    if not isinstance(train, StackedData) or setup.validation is None or setup.loss is None:
        raise NotMeasurable("training samples must be in memory, and there must be a held-out loss")
    finite = [loss for loss in whole if math.isfinite(loss)]
    if not finite:
        raise NotMeasurable("the run as given has no finite held-out loss")
    clock = WorkClock()  # a busy machine must not leave out runs that an idle one makes
    runs = [(train.size, min(finite))]
    for repeat in range(max(repeats for _, repeats in RUNS)):
        for share, repeats in RUNS:
            size = round(share * train.size)
            is_given = share == 1.0 and repeat == 0
            if is_given or repeat >= repeats or size < FEWEST or clock() > seconds:
                continue
            loss = _lowest(setup, train, size, seed=setup.seed + repeat)
            if math.isfinite(loss):
                runs.append((size, loss))
    runs.sort()
    if len({size for size, _ in runs}) < FEWEST_SIZES:
        raise NotMeasurable("a curve over the number of samples takes three sizes; time or samples were too few")
    return extrapolated([size for size, _ in runs], [loss for _, loss in runs])


def _lowest(setup: Setup, train: StackedData, size: int, seed: int) -> float:
    """The lowest held-out loss over a run on some of the samples, of as many steps as the run on all."""
    order = torch.randperm(train.size, generator=torch.Generator().manual_seed(seed))
    part = train.subset(order[:size].sort().values)
    epochs = max(1, round(setup.epochs * train.batches_per_epoch / max(1, part.batches_per_epoch)))
    pace = setup.scheduler if setup.schedule_every == "step" else paced(setup, epochs / setup.epochs)
    try:
        run = fit(replace(setup, train=part, epochs=epochs, scheduler=pace, seed=seed))
    except UnstuckError:
        return math.nan
    return min((loss for loss in run.validation_losses if math.isfinite(loss)), default=math.nan)


def extrapolated(sizes: Sequence[int], losses: Sequence[float]) -> SampleCurve:
    """Fit the power law and draw its interval.

    Args:
        sizes: Training samples of each run, shape `[R]`; the largest is the present number.
        losses: Of each, shape `[R]`.

    Returns:
        The curve.
    """
    import numpy as np

    present = max(sizes)
    law = power_law(sizes, losses)
    fitted = np.array([law.at(size) for size in sizes])
    scale = _noise_scale(list(fitted))
    degrees = max(1, len(sizes) - 3)
    deviation = float(np.sqrt(np.square((np.asarray(losses) - fitted) / scale).sum() / degrees))
    draws = np.random.default_rng(0)
    drawn = [
        power_law(sizes, list(fitted + deviation * scale * draws.standard_normal(len(sizes))), scale)
        for _ in range(DRAWS)
    ]

    def ends(values: list[float], value: float) -> tuple[float, float]:
        low, high = np.quantile(values, [(1.0 - WITHIN) / 2.0, (1.0 + WITHIN) / 2.0])
        return min(float(low), value), max(float(high), value)

    extrapolations = []
    for more in (factor * present for factor in FACTORS):
        loss = law.at(more)
        extrapolations.append(Extrapolation(more, loss, *ends([each.at(more) for each in drawn], loss)))
    doubling = _last_doubling(sizes, losses)
    return SampleCurve(tuple(sizes), tuple(losses), law, tuple(extrapolations), law.at(present), doubling)


def _last_doubling(sizes: Sequence[int], losses: Sequence[float]) -> tuple[float, float, float]:
    """The difference of the means at the two largest sizes, with the interval of B. L. Welch, 1947."""
    import numpy as np
    from scipy.stats import ttest_ind

    halves, whole = sorted(set(sizes))[-2:]
    before = [loss for size, loss in zip(sizes, losses, strict=True) if size == halves]
    after = [loss for size, loss in zip(sizes, losses, strict=True) if size == whole]
    fall = float(np.mean(before) - np.mean(after))
    if min(len(before), len(after)) < FEWEST_RUNS:
        return fall, -math.inf, math.inf
    if float(np.ptp(before)) == float(np.ptp(after)) == 0.0:
        return fall, fall, fall  # runs without chance in them
    interval = ttest_ind(before, after, equal_var=False).confidence_interval(WITHIN)
    return fall, float(interval.low), float(interval.high)


def power_law(sizes: Sequence[int], losses: Sequence[float], noise: Any = None) -> PowerLaw:
    """Weighted least squares over a grid of exponents; a loss that is nowhere below 0 has no floor below 0.

    Runs on few samples have the larger losses and stray by more: deviations are taken relative to the loss, where all
    are above 0.

    Args:
        sizes: Shape `[R]`.
        losses: Shape `[R]`.
        noise: What the deviation of each run is proportional to, shape `[R]`; the mean loss of its size where not
            given.

    Returns:
        The best law; one that does not fall where losses do not.
    """
    import numpy as np

    count, values = np.asarray(sizes, dtype=float), np.asarray(losses, dtype=float)
    if noise is None:
        noise = _noise_scale([float(values[count == size].mean()) for size in count])
    weights = 1.0 / np.square(noise)
    weights /= weights.sum()
    least = 0.0 if bool((values >= 0.0).all()) else -math.inf
    middle = float(weights @ values)
    best = (float(weights @ np.square(values - middle)), PowerLaw(middle, 0.0, POWERS[0]))
    for power in POWERS:
        falling = count**-power
        centred = falling - weights @ falling
        scale = float(weights @ (centred * values) / max(float(weights @ np.square(centred)), 1e-300))
        floor = float(middle - scale * (weights @ falling))
        if floor < least:
            floor, scale = least, float(weights @ (falling * (values - least)) / (weights @ np.square(falling)))
        error = float(weights @ np.square(values - floor - scale * falling))
        if scale > 0.0 and error < best[0]:
            best = error, PowerLaw(floor, scale, power)
    return best[1]


def _noise_scale(losses: Sequence[float]) -> Any:
    """What deviations are proportional to: the losses where all are above 0, else the same for all."""
    import numpy as np

    values = np.asarray(losses, dtype=float)
    largest = float(values.max())
    usable = largest > TINY and bool((values > 0.0).all())
    return (values / largest).clip(LEAST) if usable else np.ones(len(values))
