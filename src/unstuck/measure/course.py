"""The course of the run as given: how far it falls, how it rings, and how far its steps move the weights."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, final

from unstuck.loop import RunRecord
from unstuck.measure.history import History
from unstuck.quantity import Quantity, Threshold
from unstuck.stats import block_noise, trend

SMOOTHED: Final = 5
"""Successive losses whose median stands for the loss at a moment."""

FLAT: Final = Threshold(
    0.1,
    "share of the whole fall",
    "an exponential decay that has closed nine tenths of its way by half time; healthy set-ups of bench/healthy are at "
    "0.08 and below, all but one",
)

DIED_OUT: Final = Threshold(
    1.0 / 30.0,
    "pace of the first steps",
    "a thirtieth: no set-up of bench/bases keeps less than a seventh, and Adagrad with a decay keeps a thousandth",
)

SOUND_UPDATE: Final = 1e-3
"""Update over weights that a sound rate gives at least (Karpathy, CS231n, 2015)."""

FEWEST: Final = 6
"""Losses below which no trend of their second half is told."""

FIRST: Final = 3
"""Watched steps that stand for the start of a run."""

LEAST_RATE: Final = 0.01
"""Share of the highest rate below which a step tells nothing of the optimizer's own pace."""

LONG: Final = 100
"""Steps by which a loss that can fall has begun to, in every healthy set-up of bench/healthy."""


@final
@dataclass(frozen=True, slots=True)
class Course:
    """What the losses and the weights did over the run as given.

    Attributes:
        steps: Number of steps.
        non_finite_at: Step at which the loss was NaN or infinite, or -1.
        start: Loss at the start, the median of the first few; NaN where nothing is finite.
        end: Mean loss over the last tenth, a few steps at least; infinite where the run ended in no finite one.
        highest: Highest loss after the start, smoothed over a few steps.
        early_noise: Standard deviation of one loss about its smooth course, over the first tenth.
        late_noise: Likewise over the second half.
        late_fall: Fall over the second half, by a robust straight line.
        late_fall_low: Lower end of its 95 % interval.
        late_fall_high: Upper end.
        early_fall: Fall over the first half, by the means of its two halves times two.
        typical_update: Median over the watched steps of the norm of the update over that of the weights, the median
            layer's; NaN where no layer was seen.
        largest_update: The largest of them.
        last_update: That of the last watched step.
        epochs: Epochs that were run, the last one perhaps in part.
        best_epoch: Epoch with the lowest validation loss, counted from 1; 0 without a validation split.
        stopped: "finished", "non-finite" or "time".
        pace_kept: What is left of the optimizer's own pace in the second half of the run: updates of the weights at the
            same rate, both as they are and for the same gradient, over those of the first steps; the larger of the
            two counts. NaN where it was not seen.
    """

    cost: ClassVar[float] = 0.0

    steps: int
    non_finite_at: int
    start: float
    end: float
    highest: float
    early_noise: float
    late_noise: float
    late_fall: float
    late_fall_low: float
    late_fall_high: float
    early_fall: float
    typical_update: float
    largest_update: float
    last_update: float
    epochs: int
    best_epoch: int
    stopped: str
    pace_kept: float = math.nan

    @classmethod
    def measure(cls, history: History) -> Course:
        """Read it from the record."""
        return course_of(history.record)

    @property
    def fall(self) -> float:
        """Fall of the loss from the start to the end; minus infinity where it ended in no number."""
        return self.start - self.end if math.isfinite(self.start) else math.nan

    @property
    def late_share(self) -> float:
        """Share of the whole fall that came in the second half: a half on a straight line, 0 once it is flat."""
        return self.late_fall / self.fall if self.fall > 0.0 and math.isfinite(self.fall) else math.nan

    @property
    def died_out(self) -> bool:
        """Whether steps began at a sound size and shrank to next to nothing by the optimizer's own doing."""
        return self.pace_kept <= DIED_OUT.value and self.largest_update >= SOUND_UPDATE

    @property
    def late_fall_share(self) -> Quantity:
        """`late_share` with its interval."""
        name = "fall of the loss over the second half / over the whole run"
        if not (self.fall > 0.0 and math.isfinite(self.fall)):
            return Quantity(name, math.nan)
        return Quantity(name, self.late_share, "1", self.late_fall_low / self.fall, self.late_fall_high / self.fall)

    @property
    def has_arrived(self) -> bool:
        """Whether the loss fell, and by its second half had come to rest beyond the interval."""
        return self.fall > self.late_noise and self.late_fall_high < FLAT.value * self.fall

    @property
    def never_fell(self) -> bool:
        """Whether the loss ended no lower than it began, in a run of more than a few steps."""
        return self.fall <= 0.0 and self.late_fall_low <= 0.0 and self.steps > LONG


def course_of(record: RunRecord) -> Course:
    """Sum up a record."""
    losses = record.losses
    broken = next((step for step, loss in enumerate(losses) if not math.isfinite(loss)), -1)
    finite = losses if broken < 0 else losses[:broken]
    smooth = running_median(finite)
    tenth = max(1, len(finite) // 10)
    end = math.inf if broken >= 0 else (statistics.fmean(finite[-max(SMOOTHED, tenth) :]) if finite else math.nan)
    late = finite[len(finite) // 2 :]
    line = trend(late) if len(finite) >= FEWEST else None
    fall, low, high = math.nan, -math.inf, math.inf
    if line is not None:
        fall, low, high = (-len(late) * slope for slope in (line.slope, line.interval.high, line.interval.low))
    updates = relative_updates(record)
    validation = [loss if math.isfinite(loss) else math.inf for loss in record.validation_losses]
    return Course(
        steps=len(losses),
        non_finite_at=broken,
        start=smooth[0] if smooth else math.nan,
        end=end,
        highest=max(smooth[1:], default=math.nan) if broken < 0 else math.inf,
        early_noise=block_noise(finite[: max(SMOOTHED + 1, tenth)]),
        late_noise=block_noise(late),
        late_fall=fall,
        late_fall_low=low,
        late_fall_high=high,
        early_fall=_fall_of(finite[: len(finite) // 2]),
        typical_update=statistics.median(updates) if updates else math.nan,
        largest_update=max(updates, default=math.nan),
        last_update=updates[-1] if updates else math.nan,
        epochs=max(len(record.epoch_ends), 1),
        best_epoch=validation.index(min(validation)) + 1 if validation else 0,
        stopped=record.stopped,
        pace_kept=pace_kept(record),
    )


def relative_updates(record: RunRecord) -> tuple[float, ...]:
    """Norm of the update over the norm of the weights at each watched step, the median over layers.

    Normalisation layers are left out: their weights start at 1, not at the scale that their inputs call for.
    Steps whose update or weights are no numbers are left out as well.

    Args:
        record: Of a watched run.

    Returns:
        One ratio a step, shape `[K]` or shorter.
    """
    ratios: list[list[float]] = []
    for layer in record.layers:
        pairs = list(zip(layer.update_norm, layer.weight_norm, strict=False))
        if pairs and "Norm" not in layer.kind:
            ratios.append([update / weight if weight > 0.0 else math.nan for update, weight in pairs])
    found = []
    for step in range(min(map(len, ratios), default=0)):
        values = [series[step] for series in ratios if math.isfinite(series[step])]
        if values:
            found.append(statistics.median(values))
    return tuple(found)


def pace_kept(record: RunRecord) -> float:
    """What is left of the optimizer's own pace in the second half of a run; see `Course`.

    Adagrad divides by all gradients since the start (Duchi et al., 2011), so that its steps die out whatever the rate.
    What a schedule does to the rate is divided out, and steps at next to no rate, whose updates are lost in rounding,
    are left out; that gradients grow or die out by themselves counts neither way.

    Args:
        record: Of a watched run.

    Returns:
        The share; NaN where fewer steps were watched than tell.
    """
    updates, paces = list[float](), list[float]()
    layers = [layer for layer in record.layers if "Norm" not in layer.kind and layer.update_norm]
    watched = min((len(layer.update_norm) for layer in layers), default=0)
    least = LEAST_RATE * max((rate for rate in record.rates if math.isfinite(rate)), default=math.nan)
    for index, step in enumerate(record.sampled_steps[:watched]):
        rate = record.rates[step] if step < len(record.rates) else math.nan
        moved = [
            (layer.update_norm[index] / rate, layer.gradient_norm[index])
            for layer in layers
            if rate > 0.0 and rate >= least and index < len(layer.gradient_norm)
        ]
        moved = [(update, gradient) for update, gradient in moved if gradient > 0.0 and math.isfinite(update)]
        if moved:
            updates.append(statistics.median(update for update, _ in moved))
            paces.append(statistics.median(update / gradient for update, gradient in moved))
    if len(updates) < FEWEST:
        return math.nan
    return max(_kept(updates), _kept(paces))


def _kept(values: Sequence[float]) -> float:
    """The median over the second half as a share of the largest of the first few."""
    first = max(values[:FIRST])
    return statistics.median(values[len(values) // 2 :]) / first if first > 0.0 else math.nan


def running_median(values: Sequence[float], width: int = SMOOTHED) -> list[float]:
    """Medians of successive stretches of `width` values, `[T - width + 1]`; one median where there are fewer."""
    if not values:
        return []
    count = max(1, len(values) - width + 1)
    return [statistics.median(values[start : start + width]) for start in range(count)]


def _fall_of(values: Sequence[float]) -> float:
    middle = len(values) // 2
    if middle == 0:
        return math.nan
    return 2.0 * (statistics.fmean(values[:middle]) - statistics.fmean(values[middle:]))
