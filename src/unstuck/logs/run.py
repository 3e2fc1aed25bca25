"""What is kept of a logged run: its columns as they were written, and what each of them means."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, final

import numpy as np
import numpy.typing as npt

Real = npt.NDArray[np.float64]

RESUMED: Final = 1
"""Times that step numbers may go back where a run was taken up again from a checkpoint; more is a count that restarts
in every epoch."""


@final
class Meaning(enum.Enum):
    """What a column of a log can mean; the value is its canonical name."""

    TRAINING_LOSS = "training_loss"
    VALIDATION_LOSS = "validation_loss"
    TRAINING_METRIC = "training_metric"
    VALIDATION_METRIC = "validation_metric"
    RATE = "rate"
    GRADIENT_NORM = "gradient_norm"


@final
@dataclass(frozen=True, slots=True, eq=False)
class LoggedSeries:
    """One column of a log.

    Attributes:
        column: Its name in the log.
        steps: Where each value was logged, in the unit of the run's `axis`, ascending, shape `[K]`.
        values: The values, NaN and infinities kept, shape `[K]`.
    """

    column: str
    steps: Real
    values: Real

    def __len__(self) -> int:
        """Number of values."""
        return len(self.values)


@final
@dataclass(frozen=True, slots=True, eq=False)
class LoggedRun:
    """One run, read from a log.

    Attributes:
        name: What tells it from the other runs that were read with it.
        path: The file or the folder that it was read from.
        kind: The format in words, such as "TensorBoard event files".
        axis: What the steps count: "step", "epoch" or "row".
        columns: Every column of numbers, by its name in the log.
        meanings: Which column is which; a meaning that no column has is left out.
        settings: What the log keeps of the settings, rendered.
        epoch_ends: Step at which each epoch ended, where the log tells it, shape `[E]`.
        notes: What a reader should know, such as that the file ends in the middle of a record; sentences.
        cut: Whether it is known that the run did not come to its own end.
    """

    name: str
    path: Path
    kind: str
    axis: str
    columns: Mapping[str, LoggedSeries]
    meanings: Mapping[Meaning, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    epoch_ends: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    cut: bool = False

    def series(self, meaning: Meaning) -> LoggedSeries | None:
        """The column that has a meaning, or None."""
        return self.columns.get(self.meanings[meaning]) if meaning in self.meanings else None


def ordered(column: str, steps: Iterable[float], values: Iterable[float]) -> tuple[LoggedSeries, str]:
    """Put what was logged in the order of its steps.

    Where the steps go back once, the run was taken up again from an earlier moment: what was logged from there on the
    first time is left out. Where they go back again and again, they count within an epoch, and the values are numbered
    through.

    Args:
        column: Name in the log.
        steps: As logged, shape `[K]`.
        values: Likewise.

    Returns:
        The series, and what to tell of it, or "".
    """
    at, what = np.asarray(list(steps), np.float64), np.asarray(list(values), np.float64)
    backward = np.flatnonzero(np.diff(at) < 0.0) + 1
    if len(backward) == 0:
        return LoggedSeries(column, at, what), ""
    if len(backward) > RESUMED and _restarts(at, backward):
        told = f"the steps of {column!r} begin anew {len(backward)} times, so its values are numbered through"
        return LoggedSeries(column, np.arange(len(what), dtype=np.float64), what), told
    # The least step from here on: what lies at or above it was written again later.
    following = np.minimum.accumulate(np.append(at[1:], np.inf)[::-1])[::-1]
    kept = at < following
    told = f"{column!r} was logged again from step {at[backward[-1]]:g} on; the later values count"
    return LoggedSeries(column, at[kept], what[kept]), told


def _restarts(steps: Real, backward: npt.NDArray[np.intp]) -> bool:
    """Whether every stretch begins about where the first one did."""
    spacing = float(np.median(np.diff(steps)[np.diff(steps) > 0.0])) if np.any(np.diff(steps) > 0.0) else 1.0
    return bool(np.all(steps[backward] <= steps[0] + spacing))
