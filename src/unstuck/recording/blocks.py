"""Numbers in packed columns, and what is kept of them once they are old.

A block holds rows of one frame, that is of series which are known at the same steps. Rows of stride 1 are values as
they were; rows of a larger stride are buckets that keep first, last, least, greatest and mean, so that no spike is
lost when old rows are thinned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

Whole = NDArray[np.int64]
Real = NDArray[np.float64]

KINDS: Final = 6
"""Numbers that a bucket keeps of each series: first, last, low, high, mean, bad."""

BUCKET_ROWS: Final = 32
"""Rows of a block of buckets; the last block is rewritten while it fills."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Buckets:
    """Successive stretches of a run, R of them, for C series.

    Attributes:
        first_steps: First step of each stretch, shape `[R]`.
        last_steps: Last step, `[R]`.
        counts: Values that went into it, `[R]`.
        first: The first value, `[R, C]`; may be NaN or infinite, as the run had it.
        last: The last value, `[R, C]`.
        low: The least value that is a number, `[R, C]`; NaN where none is.
        high: The greatest value that is a number, `[R, C]`.
        mean: Mean of the finite values, `[R, C]`; NaN where none is.
        bad: How many values were not finite, `[R, C]`.
    """

    first_steps: Whole
    last_steps: Whole
    counts: Whole
    first: Real
    last: Real
    low: Real
    high: Real
    mean: Real
    bad: Real

    def __len__(self) -> int:
        """Number of stretches."""
        return len(self.counts)

    def rows(self, chosen: Any) -> Buckets:
        """Some of the stretches, by a slice or a mask."""
        return Buckets(*(column[chosen] for column in self._columns()))

    def column(self, index: int) -> Buckets:
        """One series: the same with shapes `[R]` for `[R, C]`."""
        return Buckets(*(column if column.ndim == 1 else column[:, index] for column in self._columns()))

    def _columns(self) -> tuple[Any, ...]:
        return (
            self.first_steps, self.last_steps, self.counts,
            self.first, self.last, self.low, self.high, self.mean, self.bad,
        )  # fmt: skip


def of_rows(steps: Whole, values: Real) -> Buckets:
    """Each row as a bucket of its own; `steps` is `[R]`, `values` is `[R, C]`."""
    finite = np.isfinite(values)
    mean = values if bool(finite.all()) else np.where(finite, values, np.nan)
    return Buckets(steps, steps, np.ones_like(steps), values, values, values, values, mean, (~finite).astype(float))


def joined(parts: Iterable[Buckets]) -> Buckets:
    """Several parts in a row; at least one."""
    columns = zip(*(part._columns() for part in parts), strict=True)
    return Buckets(*(np.concatenate(column) for column in columns))


def merged(buckets: Buckets, keys: Whole) -> Buckets:
    """Join neighbours with the same key into one.

    Args:
        buckets: R of them.
        keys: Shape `[R]`, never falling.

    Returns:
        One for each key.
    """
    if len(buckets) == 0:
        return buckets
    starts = np.flatnonzero(np.diff(keys, prepend=keys[0] - 1))
    ends = np.append(starts[1:], len(keys)) - 1
    weights = buckets.counts[:, None] - buckets.bad
    sums = np.add.reduceat(np.where(weights > 0, buckets.mean, 0.0) * weights, starts, axis=0)
    totals = np.add.reduceat(weights, starts, axis=0)
    mean = np.divide(sums, totals, out=np.full_like(sums, np.nan), where=totals > 0)
    return Buckets(
        buckets.first_steps[starts],
        buckets.last_steps[ends],
        np.add.reduceat(buckets.counts, starts),
        buckets.first[starts],
        buckets.last[ends],
        np.fmin.reduceat(buckets.low, starts, axis=0),
        np.fmax.reduceat(buckets.high, starts, axis=0),
        mean,
        np.add.reduceat(buckets.bad, starts, axis=0),
    )


def coarsened(start: int, blocks: Iterable[Buckets], stride: int) -> Iterator[tuple[int, Buckets]]:
    """Join the rows of successive blocks into buckets of `stride` values, a block at a time.

    Args:
        start: Number of the first value in its frame.
        blocks: In order.
        stride: Values a bucket is to hold.

    Yields:
        Blocks of about `BUCKET_ROWS` rows, each with the number of its first value.
    """
    waiting: Buckets | None = None
    for block in blocks:
        waiting = block if waiting is None else joined([waiting, block])
        firsts = start + np.concatenate([[0], np.cumsum(waiting.counts)[:-1]])
        waiting = merged(waiting, firsts // stride)
        while len(waiting) > 2 * BUCKET_ROWS:
            full = waiting.rows(slice(None, BUCKET_ROWS))
            yield start, full
            start += int(full.counts.sum())
            waiting = waiting.rows(slice(BUCKET_ROWS, None))
    if waiting is not None and len(waiting):
        yield start, waiting


def pack_rows(steps: Whole, values: Real) -> bytes:
    """Values as they were: `[R]` steps as int64, then `[R, C]` values as float64, little-endian."""
    return steps.astype("<i8").tobytes() + values.astype("<f8").tobytes()


def pack(buckets: Buckets) -> bytes:
    """Buckets: `[3, R]` int64 (first step, last step, count), then `[6, R, C]` float64, little-endian."""
    whole = np.stack([buckets.first_steps, buckets.last_steps, buckets.counts]).astype("<i8")
    real = np.stack([buckets.first, buckets.last, buckets.low, buckets.high, buckets.mean, buckets.bad]).astype("<f8")
    return whole.tobytes() + real.tobytes()


def unpack(data: bytes, rows: int, stride: int) -> Buckets:
    """Read a block back.

    Args:
        data: As packed.
        rows: Its number of rows.
        stride: 1 for values as they were, more for buckets.

    Returns:
        Its rows.

    Raises:
        ValueError: If the data are not as long as the rows need.
    """
    if stride == 1:
        steps = np.frombuffer(data, "<i8", rows).astype(np.int64)
        return of_rows(steps, np.frombuffer(data, "<f8", offset=8 * rows).reshape(rows, -1).astype(np.float64))
    whole = np.frombuffer(data, "<i8", 3 * rows).reshape(3, rows).astype(np.int64)
    real = np.frombuffer(data, "<f8", offset=24 * rows).reshape(KINDS, rows, -1).astype(np.float64)
    return Buckets(*whole, *real)
