"""A logged run in numbers: what the judges of curves ask for."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from unstuck.logs import LoggedRun, LoggedSeries, Meaning
from unstuck.loop import RunRecord
from unstuck.measure.course import Course, course_of, running_median
from unstuck.measure.gradient_spikes import EARLY, GradientSpikes
from unstuck.measure.protocol import Unmeasured
from unstuck.measure.rate_course import RateCourse, rate_course_of
from unstuck.quantity import Quantity
from unstuck.stats import LARGEST, block_noise, trend

MOST: Final = 20_000
"""Values of a series that are looked at; longer ones are reduced to the means of successive stretches."""

FEWEST: Final = 6
"""Values from which a course is told."""

LAST: Final = 3
"""Values of the validation loss whose median stands for its end."""


@final
@dataclass(frozen=True, slots=True)
class CurveSummary:
    """What the curves of a run come to, beside its `Course`.

    Attributes:
        axis: What the steps count: "step", "epoch" or "row".
        entries: Values of the training loss that were logged.
        spacing: Median distance of two of them.
        last_step: Where the last value of any column stands.
        epochs: Epochs that were logged, as far as they can be told; 0 where not.
        first: First finite training loss.
        highest: Highest training loss, smoothed over a few values; infinite where the run ended in no number.
        end: Mean training loss over the last tenth.
        end_error: Standard error of `end`.
        non_finite_step: Where the training loss became NaN or infinite and stayed so to the end; NaN where it did not.
        before_failure: Smoothed loss before that over the lowest before it; NaN where there was none.
        passing_non_finite: Values that were NaN or infinite in a run that went on.
        classes: Number of classes, where the user said it; else 0.
        validation_entries: Values of the validation loss that were logged.
        validation_first: The first of them.
        validation_best: The lowest.
        validation_best_step: Where it stands.
        validation_end: Median of the last few.
        validation_noise: Standard deviation of one value about the smooth course, after the first half.
        validation_late_share: Share of its fall that came in its second half, by a robust straight line; NaN for few.
        validation_late_low: Lower end of its 95 % interval.
        training_at_best: Training loss about the step of the best validation loss, smoothed.
        zero_rate_share: Share of the logged rates that are exactly 0; NaN where no rate was logged.
        gradient_failed_step: From where on every logged norm of the gradient is NaN or infinite; NaN where not.
        cut: Whether the run did not come to its own end.
    """

    cost: ClassVar[float] = 0.0

    axis: str
    entries: int
    spacing: float
    last_step: float
    epochs: int
    first: float
    highest: float
    end: float
    end_error: float
    non_finite_step: float
    before_failure: float
    passing_non_finite: int
    classes: int
    validation_entries: int
    validation_first: float
    validation_best: float
    validation_best_step: float
    validation_end: float
    validation_noise: float
    validation_late_share: float
    validation_late_low: float
    training_at_best: float
    zero_rate_share: float
    gradient_failed_step: float
    cut: bool = False

    @property
    def is_coarse(self) -> bool:
        """Whether a value stands for many steps, so that the first fall lies before the first value."""
        return self.axis != "step" or self.spacing > 1.0

    @property
    def span(self) -> float:
        """From where the loss began down to the lowest that either curve reached; NaN where that is nothing."""
        known = [self.first, self.validation_first]
        lowest = [self.end, self.validation_best, self.training_at_best]
        high = max((value for value in known if math.isfinite(value)), default=math.nan)
        low = min((value for value in lowest if math.isfinite(value)), default=math.nan)
        return high - low if high > low else math.nan

    @property
    def constant(self) -> float:
        """Cross-entropy in nats of giving each class the same share; NaN where the classes are not known."""
        return math.log(self.classes) if self.classes > 1 else math.nan

    @property
    def rise(self) -> Quantity:
        """Rise of the validation loss from its lowest to its end, as a share of the span."""
        rise, noise = self.validation_end - self.validation_best, 2.0 * self.validation_noise
        name = "rise of the validation loss after its lowest / fall of the loss"
        return Quantity(name, rise / self.span, "1", (rise - noise) / self.span, (rise + noise) / self.span)


Measured = tuple[CurveSummary, "Course | Unmeasured", "RateCourse | Unmeasured", "GradientSpikes | Unmeasured"]


def summary_of(run: LoggedRun, classes: int = 0) -> Measured:
    """Measure what a log holds.

    Args:
        run: With its meanings.
        classes: Number of classes of a classification by cross-entropy, or 0.

    Returns:
        The summary; the course of the losses, that of the rate, and the norms of the gradient, each `Unmeasured` where
        the log does not hold it.
    """
    training, validation = run.series(Meaning.TRAINING_LOSS), run.series(Meaning.VALIDATION_LOSS)
    steps, losses, ended, passing = _finite_part(training)
    record = _record(run, steps, losses, ended, validation)
    course: Course | Unmeasured = Unmeasured("the log holds no training loss")
    if training is not None and (len(losses) >= FEWEST or ended):
        course = course_of(record)
    elif training is not None:
        course = Unmeasured(f"the log holds {len(losses)} values of the training loss; {FEWEST} are needed")
    rates = run.series(Meaning.RATE)
    rate_course: RateCourse | Unmeasured = Unmeasured("the log holds no learning rate")
    if rates is not None and record.rates:
        rate_course = rate_course_of(record)
    return (_summary(run, classes, steps, losses, ended, passing), course, rate_course, _spikes(run))


def _finite_part(series: LoggedSeries | None) -> tuple[Sequence[float], Sequence[float], bool, int]:
    """Steps and losses up to where it is NaN for good, thinned; whether it is; and how many values in between were."""
    if series is None or not len(series):
        return (), (), False, 0
    finite = np.abs(series.values) < LARGEST  # false for NaN
    last = int(np.flatnonzero(finite)[-1]) + 1 if finite.any() else 0
    kept = finite[:last]
    steps, values = series.steps[:last][kept], series.values[:last][kept]
    block = math.ceil(len(values) / MOST) if len(values) else 1
    if block > 1:
        whole = len(values) - len(values) % block
        steps, values = steps[:whole:block], values[:whole].reshape(-1, block).mean(1)
    return tuple(map(float, steps)), tuple(map(float, values)), last < len(series), int((~kept).sum())


def _record(
    run: LoggedRun, steps: Sequence[float], losses: Sequence[float], ended: bool, validation: LoggedSeries | None
) -> RunRecord:
    """The run as the rules' own measurements take it, an entry of the log in the place of a step."""
    rates = run.series(Meaning.RATE)
    at_entries: tuple[float, ...] = ()
    if rates is not None and len(rates) and len(steps):
        places = np.searchsorted(rates.steps, np.asarray(steps), side="right") - 1
        at_entries = tuple(map(float, rates.values[np.clip(places, 0, len(rates) - 1)]))
    held_out = () if validation is None else tuple(map(float, validation.values))
    ends = () if validation is None else tuple(int(np.searchsorted(steps, step, "right")) for step in validation.steps)
    return RunRecord(
        seed=0,
        losses=(*losses, math.nan) if ended else tuple(losses),
        rates=at_entries,
        epoch_ends=ends,
        validation_losses=held_out,
        sampled_steps=(),
        layers=(),
        stopped="non-finite" if ended else "finished",
        seconds=math.nan,
        epochs_planned=0,
    )


def _summary(
    run: LoggedRun, classes: int, steps: Sequence[float], losses: Sequence[float], ended: bool, passing: int
) -> CurveSummary:
    training = run.series(Meaning.TRAINING_LOSS)
    smooth = running_median(losses)
    last = losses[-max(FEWEST - 1, len(losses) // 10) :]
    noise = block_noise(losses[len(losses) // 2 :])
    before = math.nan
    if ended and smooth:
        before = smooth[-1] / min(smooth) if min(smooth) > 0.0 else math.nan
    validation = run.series(Meaning.VALIDATION_LOSS)
    held = (
        []
        if validation is None
        else [value if math.isfinite(value) else math.inf for value in validation.values.tolist()]
    )
    best = held.index(min(held)) if held else 0
    best_step = float(validation.steps[best]) if validation is not None and held else math.nan
    share, low = _late_share(held)
    rates, gradients = run.series(Meaning.RATE), run.series(Meaning.GRADIENT_NORM)
    return CurveSummary(
        axis=run.axis,
        entries=0 if training is None else len(training),
        spacing=math.nan if training is None or len(training) < 2 else float(np.median(np.diff(training.steps))),
        last_step=_last_step(run),
        epochs=len(run.epoch_ends) or (len(held) if held else len(losses) if run.axis == "epoch" else 0),
        first=losses[0] if losses else math.nan,
        highest=math.inf if ended else max(smooth, default=math.nan),
        end=math.inf if ended else statistics.fmean(last) if last else math.nan,
        end_error=noise / math.sqrt(len(last)) if last else math.nan,
        non_finite_step=_failed_step(training),
        before_failure=before,
        passing_non_finite=passing,
        classes=classes,
        validation_entries=len(held),
        validation_first=held[0] if held else math.nan,
        validation_best=min(held, default=math.nan),
        validation_best_step=best_step,
        validation_end=statistics.median(held[-LAST:]) if held else math.nan,
        validation_noise=block_noise(held[len(held) // 2 :]),
        validation_late_share=share,
        validation_late_low=low,
        training_at_best=_about(steps, losses, best_step),
        zero_rate_share=math.nan if rates is None or not len(rates) else float((rates.values == 0.0).mean()),
        gradient_failed_step=_failed_step(gradients),
        cut=run.cut,
    )


def _last_step(run: LoggedRun) -> float:
    return max((float(column.steps[-1]) for column in run.columns.values() if len(column)), default=math.nan)


def _failed_step(series: LoggedSeries | None) -> float:
    """Where a series became NaN or infinite for good; NaN where it did not."""
    if series is None or not len(series) or abs(series.values[-1]) < LARGEST:
        return math.nan
    finite = np.flatnonzero(np.abs(series.values) < LARGEST)
    return float(series.steps[int(finite[-1]) + 1 if len(finite) else 0])


def _late_share(values: Sequence[float]) -> tuple[float, float]:
    """Share of the fall that came in the second half, and the lower end of its interval."""
    if len(values) < FEWEST or not all(map(math.isfinite, values)):
        return math.nan, math.nan
    late = values[len(values) // 2 :]
    line = trend(late)
    fall = values[0] - min(values)
    if not fall > 0.0:
        return math.nan, math.nan
    return -len(late) * line.slope / fall, -len(late) * line.interval.high / fall


def _about(steps: Sequence[float], losses: Sequence[float], step: float) -> float:
    """Median of the few losses up to a step."""
    if not losses or not math.isfinite(step):
        return math.nan
    end = max(1, int(np.searchsorted(steps, step, "right")))
    return statistics.median(losses[max(0, end - 5) : end])


def _spikes(run: LoggedRun) -> GradientSpikes | Unmeasured:
    series = run.series(Meaning.GRADIENT_NORM)
    norms = np.array([]) if series is None else series.values[np.isfinite(series.values)]
    if len(norms) < FEWEST:
        return Unmeasured("the log holds no norms of the gradient" if not len(norms) else "the log holds too few norms")
    return GradientSpikes(
        len(norms),
        float(np.median(norms)),
        float(np.median(norms[:EARLY])),
        float(norms.max()),
        float(np.quantile(norms, 0.9)),
    )
