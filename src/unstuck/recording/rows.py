"""What is read from a record: one series, the facts of the run, the end of an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from unstuck.recording.blocks import Buckets, Real, Whole, joined


@final
@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One series, K rows; a row is one value, or where the run was long a bucket of several.

    Attributes:
        name: Such as "loss" or "gradient_norm".
        layer: What it belongs to, "" for the run as a whole.
        steps: First step of each row, shape `[K]`.
        values: Mean of each row, which is the value itself where it holds one, `[K]`; NaN where none was finite.
        last_steps: Last step of each row, `[K]`.
        counts: Values that each row stands for, `[K]`.
        first: First value of each row, `[K]`.
        last: Last value of each row, `[K]`.
        low: Least value of each row, `[K]`.
        high: Greatest value of each row, `[K]`.
        bad: Values of each row that were NaN or infinite, `[K]`.
    """

    name: str
    layer: str
    steps: Whole
    values: Real
    last_steps: Whole
    counts: Whole
    first: Real
    last: Real
    low: Real
    high: Real
    bad: Real

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.steps)


@final
@dataclass(frozen=True, slots=True)
class RunInfo:
    """What a record says of its run.

    Attributes:
        path: The file.
        name: What the run is called.
        created: When it began, seconds since the epoch, UTC.
        heartbeat: When it last wrote, likewise.
        ended: When it ended, likewise; None where it has not.
        status: "running", "finished" or "crashed": by an exception, or by its silence.
        error: What ended it, or "".
        last_step: The last step that was recorded, -1 where none was.
        settings: What tells it from other runs.
        versions: Package → version.
        facts: Everything else that was noted of the run as a whole.
    """

    path: Path
    name: str
    created: float
    heartbeat: float
    ended: float | None
    status: str
    error: str
    last_step: int
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    facts: Mapping[str, Any]


@final
@dataclass(frozen=True, slots=True)
class Epoch:
    """The end of an epoch.

    Attributes:
        number: Counted from 1.
        step: Steps done by then.
        time: When, seconds since the epoch, UTC.
        measured: What was measured, such as "validation_loss".
    """

    number: int
    step: int
    time: float
    measured: Mapping[str, float]


def series_of(key: tuple[str, str], parts: list[Buckets], since: int) -> Series:
    """One series, joined from its blocks.

    Args:
        key: Its name and layer.
        parts: Its column of each block, in any order.
        since: Only rows that end after this step.

    Returns:
        Its rows, in the order of steps.
    """
    name, layer = key
    if not parts:
        whole, real = np.empty(0, np.int64), np.empty(0)
        return Series(name, layer, whole, real, whole, whole, real, real, real, real, real)
    found = joined(parts)
    found = found.rows(np.argsort(found.first_steps, kind="stable"))
    found = found.rows(found.last_steps > since)
    return Series(
        name, layer, found.first_steps, found.mean, found.last_steps, found.counts,
        found.first, found.last, found.low, found.high, found.bad,
    )  # fmt: skip
