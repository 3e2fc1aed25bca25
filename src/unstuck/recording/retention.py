"""What of a long run is kept: the beginning and the latest rows as they were, the rest in ever wider buckets.

So a record of any length stays within bounds: each time there are too many buckets, they are made twice as wide and
joined in pairs, at an amortised cost that does not grow with the run.
"""

from __future__ import annotations

import sqlite3
from array import array
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np

from unstuck.recording.blocks import (
    BUCKET_ROWS,
    KINDS,
    Buckets,
    coarsened,
    pack,
    pack_rows,
    unpack,
)

HEAD: Final = 64
"""Rows at the beginning of a run that are never thinned: that is where most goes wrong."""

FIRST_STRIDE: Final = 8
"""Values that the first buckets hold; fewer would take more room than the values themselves."""

ROOM: Final = 12 << 20
"""Bytes that the buckets of one frame may take."""

FOLDED_AT_ONCE: Final = 1 << 18
"""Bytes of rows that are folded into buckets at once."""


@final
@dataclass(frozen=True, slots=True)
class Retention:
    """How far one frame has been thinned.

    Attributes:
        columns: Its number of series, C.
        taken: Rows it has got so far.
        raw: Rows beyond the head that are still as they were.
        buckets: Buckets there are.
        stride: Values that each of them holds.
    """

    columns: int
    taken: int = 0
    raw: int = 0
    buckets: int = 0
    stride: int = FIRST_STRIDE

    @classmethod
    def of(cls, connection: sqlite3.Connection, frame: int, columns: int) -> Retention:
        """That of a frame as it lies in a record."""
        query = "SELECT start, rows, stride FROM block WHERE frame = ? ORDER BY start"
        blocks = connection.execute(query, (frame,)).fetchall()
        kept = cls(columns)
        for start, rows, stride in blocks:
            if stride > 1:
                kept = replace(kept, buckets=kept.buckets + rows, stride=max(kept.stride, stride))
            elif start >= HEAD:
                kept = replace(kept, raw=kept.raw + rows)
        if blocks:
            start, rows, stride = blocks[-1]
            last = _read(connection, frame, start)
            kept = replace(kept, taken=start + int(last.counts.sum()))
        return kept

    @property
    def _fold(self) -> int:
        return max(32, min(512, FOLDED_AT_ONCE // (8 * self.columns)))

    @property
    def _most_buckets(self) -> int:
        return max(256, min(4096, ROOM // (8 * KINDS * self.columns)))

    def take(self, connection: sqlite3.Connection, frame: int, steps: array[int], values: array[float]) -> Retention:
        """Write rows of a frame, and thin what has become old.

        Args:
            connection: Within a transaction.
            frame: Its number.
            steps: Shape `[R]`.
            values: Shape `[R · C]`, row by row.

        Returns:
            How it stands then.
        """
        rows = len(steps)
        data = pack_rows(np.asarray(steps), np.asarray(values))
        _insert(connection, frame, self.taken, (min(steps), max(steps)), 1, rows, data)
        raw = self.raw + (rows if self.taken >= HEAD else 0)
        after = replace(self, taken=self.taken + rows, raw=raw)
        if after.raw >= 2 * after._fold:
            after = after._folded(connection, frame)
        if after.buckets > after._most_buckets:
            after = after._widened(connection, frame)
        return after

    def _folded(self, connection: sqlite3.Connection, frame: int) -> Retention:
        """Turn the oldest rows into buckets; the last bucket block is opened again until it is full."""
        query = "SELECT start, rows FROM block WHERE frame = ? AND stride = 1 AND start >= ? ORDER BY start"
        old: list[int] = []
        folded = 0
        for start, rows in connection.execute(query, (frame, HEAD)).fetchall():
            if self.raw - folded - rows < self._fold:
                break
            old.append(start)
            folded += rows
        if not old:
            return self
        query = "SELECT start, rows FROM block WHERE frame = ? AND stride > 1 ORDER BY start DESC LIMIT 1"
        last = connection.execute(query, (frame,)).fetchone()
        before = 0
        if last is not None and last[1] < BUCKET_ROWS:
            old.insert(0, last[0])
            before = last[1]
        made = self._rewritten(connection, frame, old, self.stride)
        return replace(self, raw=self.raw - folded, buckets=self.buckets - before + made)

    def _widened(self, connection: sqlite3.Connection, frame: int) -> Retention:
        query = "SELECT start FROM block WHERE frame = ? AND stride > 1 ORDER BY start"
        starts = [start for (start,) in connection.execute(query, (frame,)).fetchall()]
        stride = 2 * self.stride
        made = self._rewritten(connection, frame, starts, stride)
        return replace(self, buckets=made, stride=stride)

    def _rewritten(self, connection: sqlite3.Connection, frame: int, starts: list[int], stride: int) -> int:
        made = 0
        blocks = (_taken_out(connection, frame, start) for start in starts)
        for start, block in list(coarsened(starts[0], blocks, stride)):
            steps = int(block.first_steps.min()), int(block.last_steps.max())
            _insert(connection, frame, start, steps, stride, len(block), pack(block))
            made += len(block)
        return made


def cut_from(connection: sqlite3.Connection, frame: int, step: int) -> None:
    """Take out what a frame holds from a step on; a bucket that reaches beyond it goes as a whole.

    Args:
        connection: To the record.
        frame: Number of the frame.
        step: The first step that goes.
    """
    query = "SELECT start, stride FROM block WHERE frame = ? AND last_step >= ? ORDER BY start"
    for start, stride in connection.execute(query, (frame, step)).fetchall():
        block = _taken_out(connection, frame, start)
        kept = block.rows(block.last_steps < step)
        if len(kept):
            data = pack_rows(kept.first_steps, kept.first) if stride == 1 else pack(kept)
            steps = int(kept.first_steps.min()), int(kept.last_steps.max())
            _insert(connection, frame, start, steps, stride, len(kept), data)


def _insert(
    connection: sqlite3.Connection,
    frame: int,
    start: int,
    steps: tuple[int, int],
    stride: int,
    rows: int,
    data: bytes,
) -> None:
    statement = (
        "INSERT INTO block (frame, start, first_step, last_step, stride, rows, data) VALUES (?, ?, ?, ?, ?, ?, ?)"
    )
    connection.execute(statement, (frame, start, *steps, stride, rows, data))


def _read(connection: sqlite3.Connection, frame: int, start: int) -> Buckets:
    query = "SELECT data, rows, stride FROM block WHERE frame = ? AND start = ?"
    return unpack(*connection.execute(query, (frame, start)).fetchone())


def _taken_out(connection: sqlite3.Connection, frame: int, start: int) -> Buckets:
    block = _read(connection, frame, start)
    connection.execute("DELETE FROM block WHERE frame = ? AND start = ?", (frame, start))
    return block
