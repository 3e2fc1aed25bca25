"""Several logged runs side by side: which reached the lowest validation loss, and whether that is beyond noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from unstuck.logs.run import LoggedRun, LoggedSeries, Meaning
from unstuck.quantity import Interval
from unstuck.stats import block_noise

BEYOND: Final = 2.0
"""Standard deviations of a difference of two lowest losses from which one run is called better (95 %, normal noise)."""

SETTINGS: Final = 12
"""Settings that are shown where the runs differ in more."""


@final
@dataclass(frozen=True, slots=True)
class RunRow:
    """One run of a comparison.

    Attributes:
        name: Of the run.
        best: Lowest validation loss, or training loss where no run logged another; NaN where there is none.
        best_step: Where it was reached.
        final: The last value.
        noise: Standard deviation of one value about the smooth course of the second half; NaN for few values.
        reached: First step at which it was as low as the worst run's best: how quick it was; NaN where never.
        last_step: Where the log ends.
        curve: The values, thinned, for a small picture, shape `[K]`.
    """

    name: str
    best: float
    best_step: float
    final: float
    noise: float
    reached: float
    last_step: float
    curve: tuple[float, ...]


@final
@dataclass(frozen=True, slots=True)
class RunComparison:
    """Several runs, the best first.

    Attributes:
        sentence: The verdict.
        measure: What is compared, such as "validation loss".
        rows: One a run.
        differences: Settings in which they differ: name → value of each run, in the order of `rows`.
        lead: Difference between the second and the first, with its interval; None where it cannot be told.
    """

    sentence: str
    measure: str
    rows: tuple[RunRow, ...]
    differences: dict[str, tuple[str, ...]]
    lead: Interval | None


def compare(runs: Sequence[LoggedRun]) -> RunComparison:
    """Compare runs by their lowest validation loss, or by their training loss where not all logged another.

    The interval of the lead holds the noise that each curve shows about its own smooth course. What another seed would
    change it does not hold, and the sentence says so.

    Args:
        runs: Two or more, with their meanings.

    Returns:
        The comparison.
    """
    held_out = all(_known(run.series(Meaning.VALIDATION_LOSS)) for run in runs)
    meaning = Meaning.VALIDATION_LOSS if held_out else Meaning.TRAINING_LOSS
    bests = [_best(run.series(meaning))[0] for run in runs]
    target = max((best for best in bests if math.isfinite(best)), default=math.nan)
    paired = sorted(
        ((_row(run, meaning, target), run) for run in runs),
        key=lambda pair: (math.isnan(pair[0].best), pair[0].best),
    )
    rows = tuple(row for row, _ in paired)
    differences = _differences([run for _, run in paired])
    lead = _lead(rows)
    what = meaning.value.replace("_", " ")
    return RunComparison(_sentence(rows, lead, what), what, rows, differences, lead)


def _known(series: LoggedSeries | None) -> bool:
    return series is not None and math.isfinite(_best(series)[0])


def _best(series: LoggedSeries | None) -> tuple[float, float]:
    if series is None:
        return math.nan, math.nan
    pairs = [
        (value, step)
        for step, value in zip(series.steps.tolist(), series.values.tolist(), strict=True)
        if math.isfinite(value)
    ]
    value, step = min(pairs, default=(math.nan, math.nan))
    return float(value), float(step)


def _row(run: LoggedRun, meaning: Meaning, target: float) -> RunRow:
    series = run.series(meaning)
    if series is None or not len(series):
        return RunRow(run.name, math.nan, math.nan, math.nan, math.nan, math.nan, math.nan, ())
    best, step = _best(series)
    low_enough = series.steps[series.values <= target]
    reached = float(low_enough[0]) if len(low_enough) else math.nan
    width = max(1, math.ceil(len(series) / 24))
    curve = tuple(float(value) for value in series.values[::width])
    noise = block_noise(tuple(map(float, series.values[len(series) // 2 :])))
    return RunRow(run.name, best, step, float(series.values[-1]), noise, reached, float(series.steps[-1]), curve)


def _differences(runs: Sequence[LoggedRun]) -> dict[str, tuple[str, ...]]:
    names = list(dict.fromkeys(name for run in runs for name in run.settings))
    values = {name: tuple(run.settings.get(name, "–") for run in runs) for name in names}
    differing = {name: those for name, those in values.items() if len(set(those)) > 1}
    return dict(list(differing.items())[:SETTINGS])


def _lead(rows: Sequence[RunRow]) -> Interval | None:
    if len(rows) < 2 or not all(math.isfinite(row.best) for row in rows[:2]):
        return None
    noise = math.hypot(*(row.noise if math.isfinite(row.noise) else math.inf for row in rows[:2]))
    difference = rows[1].best - rows[0].best
    return Interval(difference - BEYOND * noise, difference + BEYOND * noise)


def _sentence(rows: Sequence[RunRow], lead: Interval | None, what: str) -> str:
    if lead is None:
        return f"Fewer than two of the runs hold a {what}, so there is nothing to compare."
    first, second = rows[0], rows[1]
    pair = f"{first.name} reaches the lowest {what}, {first.best:.4g}, against {second.best:.4g} of {second.name}"
    if math.isinf(lead.high):
        return f"{pair}; too few values were logged to tell whether that is more than noise."
    if lead.low > 0.0:
        return f"{pair}: more than the noise of the curves. Whether other seeds bear it out, one run each cannot show."
    return f"{pair}: no more than the noise of the curves, so neither is better as far as they show."
