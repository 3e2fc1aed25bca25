"""Writing a record while the run goes on: nothing that was flushed is lost, whatever happens to the process."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, final

from unstuck.errors import RecordError
from unstuck.recording.connections import for_writing, made_in, unwritable
from unstuck.recording.frames import Column, Frame
from unstuck.recording.retention import Retention, cut_from
from unstuck.recording.schema import LayerEntry, Notice

FLUSH_SECONDS: Final = 1.0
"""Seconds after which what has been added is written: what a killed process loses at most, besides the last sample."""

MOST_WAITING: Final = 1 << 20
"""Bytes of numbers that wait at most; then they are written at once, or, where that fails, the oldest are given up."""

MOST_ROWS: Final = 1024
RETRY_SECONDS: Final = 10.0


@final
class RecordWriter:
    """Writes one record. Made by `create` or `resume`; use it as a context manager, or `close` it.

    No method raises once the file is open: where writing fails (the disk is full, say) a `RuntimeWarning` says so
    once, the numbers wait within bounds, and writing is tried again. A forked child writes nothing.

    Attributes:
        path: The file.
        last_step: The last step that was added, -1 before.
        problem: Why writing fails at present, "" where it does not.
        seconds: Processor time that writing took.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Take an open record; use `create` or `resume` instead."""
        self.path = path
        self.last_step = -1
        self.problem = ""
        self.seconds = 0.0
        self._connection = connection
        self._owner = os.getpid()
        self._frames: dict[tuple[Column, ...], Frame] = {}
        self._facts: dict[str, Any] = {}
        self._statements: list[tuple[str, tuple[Any, ...]]] = []
        self._waiting = 0
        self._flushed = time.monotonic()
        self._longest_pause = 0.0
        self._closed = False

    @classmethod
    def create(
        cls,
        folder: str | os.PathLike[str],
        name: str = "run",
        *,
        settings: Mapping[str, Any] | None = None,
        versions: Mapping[str, str] | None = None,
        layers: Sequence[LayerEntry] = (),
    ) -> RecordWriter:
        """Begin a record in a file of its own, which no other process can have chosen.

        Args:
            folder: Where to; made where it does not exist.
            name: What the run is called; part of the file's name.
            settings: Whatever tells this run from others, as JSON-able data.
            versions: Package → version, of what matters besides Python and `unstuck`.
            layers: Of the model.

        Returns:
            The writer.

        Raises:
            RecordError: If the folder cannot be written to.
        """
        now = time.time()
        writer = cls(*made_in(folder, name, now))
        writer.set(
            name=name, created=now, status="running", error="", settings=dict(settings or {}),
            versions={"python": platform.python_version(), **(versions or {})},
        )  # fmt: skip
        writer.set_layers(layers)
        writer.flush()
        return writer

    @classmethod
    def resume(cls, path: str | os.PathLike[str], step: int | None = None) -> RecordWriter:
        """Go on with a record, as after a restart from a checkpoint.

        Args:
            path: Of the record.
            step: The next step of the run; what was recorded from there on is taken out, for it will come again.
                None for the one after the last that was recorded.

        Returns:
            The writer.

        Raises:
            RecordError: If there is no such record, or it cannot be written to.
        """
        place = Path(path).absolute()
        if not place.is_file():
            raise RecordError(*unwritable(place, FileNotFoundError(2, "no such file")))
        try:
            writer = cls(place, for_writing(place))
            for identity, names in writer._connection.execute("SELECT id, series FROM frame").fetchall():
                found = dict(writer._series())
                columns = tuple(found[each] for each in json.loads(names))
                frame = writer._frame(columns)
                if step is not None:
                    cut_from(writer._connection, identity, step)
                frame.retention = Retention.of(writer._connection, identity, len(columns))
            last = writer._connection.execute("SELECT max(last_step) FROM block").fetchone()[0]
            writer.last_step = -1 if last is None else int(last)
        except (OSError, sqlite3.Error) as error:
            raise RecordError(*unwritable(place, error)) from None
        writer.set(status="running", error="")
        writer.flush()
        return writer

    def __enter__(self) -> RecordWriter:
        """The writer itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Close it: as crashed where an exception passes."""
        text = "" if kind is None else f"{kind.__name__}: {error}"
        self.close("finished" if kind is None else "crashed", text)

    def set(self, **facts: Any) -> None:
        """Note something of the whole run, as JSON-able data, under a name."""
        self._facts.update(facts)

    def set_layers(self, layers: Sequence[LayerEntry]) -> None:
        """Note the layers of the model, in place of those noted before."""
        self._statements.append(("DELETE FROM layer", ()))
        for place, layer in enumerate(layers):
            row = (place, layer.name, layer.kind, layer.parameters, layer.depth)
            self._statements.append(("INSERT OR REPLACE INTO layer VALUES (?, ?, ?, ?, ?)", row))

    def log(self, step: int, values: Mapping[str, float], layer: str = "") -> None:
        """Add numbers of one step by name.

        Args:
            step: Steps of the optimizer done before it.
            values: Name → number; always the same names together where it can be had.
            layer: What they belong to.
        """
        self.add(tuple((name, layer) for name in values), step, [*values.values()])

    def add(self, columns: tuple[Column, ...], step: int, values: Sequence[float]) -> None:
        """Add one row: numbers of several series at one step, `[C]`; written soon, at the latest by `close`."""
        self.extend(columns, (step,), values)

    def extend(self, columns: tuple[Column, ...], steps: Sequence[int], values: Sequence[float]) -> None:
        """Add rows: numbers of several series at R steps, `[R · C]`, row by row."""
        if not steps:
            return
        frame = self._frame(columns)
        frame.steps.extend(steps)
        frame.values.extend(values)
        self.last_step = max(self.last_step, *steps)
        self._waiting += 8 * (len(columns) + 1) * len(steps)
        if self._waiting >= MOST_WAITING or len(frame.steps) >= MOST_ROWS:
            self.flush()

    def epoch(self, number: int, step: int, measured: Mapping[str, float]) -> None:
        """Note the end of an epoch.

        Args:
            number: Of the epoch, counted from 1.
            step: Steps done by its end.
            measured: What was measured there, such as "validation_loss".
        """
        row = (number, step, time.time(), json.dumps(dict(measured)))
        self._statements.append(("INSERT OR REPLACE INTO epoch VALUES (?, ?, ?, ?)", row))

    def notice(self, notice: Notice) -> None:
        """Note a finding."""
        row = (
            notice.time, notice.step, notice.code, notice.name, notice.severity, notice.sentence,
            json.dumps(notice.evidence),
        )  # fmt: skip
        statement = (
            "INSERT OR IGNORE INTO notice (time, step, code, name, severity, sentence, evidence) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)"
        )
        self._statements.append((statement, row))

    @property
    def due(self) -> bool:
        """Whether it is time to `flush`."""
        return time.monotonic() - self._flushed >= (RETRY_SECONDS if self.problem else FLUSH_SECONDS)

    def flush(self, at_once: bool = False) -> None:
        """Write what waits, in one transaction.

        Args:
            at_once: Try even where writing has failed a moment ago.
        """
        if self._closed or os.getpid() != self._owner:
            self._forget()
            return
        begun, now = time.thread_time(), time.monotonic()
        if self.problem and not at_once and now - self._flushed < RETRY_SECONDS:
            self._bound()
            return
        self._longest_pause = max(self._longest_pause, now - self._flushed)
        self._flushed = now
        try:
            self._write()
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            self._bound()
            if not self.problem:
                message = f"unstuck: the record {self.path} cannot be written at present ({error}); the run goes on"
                warnings.warn(message, RuntimeWarning, stacklevel=2)
            self.problem = str(error)
        else:
            self.problem = ""
        self.seconds += time.thread_time() - begun

    def close(self, status: str = "finished", error: str = "") -> None:
        """Write what waits and end the record; calling it again does nothing.

        Args:
            status: "finished" or "crashed".
            error: What ended it, in one sentence.
        """
        if self._closed or os.getpid() != self._owner:
            return
        self.set(status=status, error=error, ended=time.time())
        self.flush(at_once=True)
        self._closed = True
        with suppress(sqlite3.Error):  # one file is left, not three; a reader may keep it from that
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.execute("PRAGMA journal_mode = DELETE")
        with suppress(sqlite3.Error):
            self._connection.close()

    def _frame(self, columns: tuple[Column, ...]) -> Frame:
        frame = self._frames.get(columns)
        if frame is None:
            frame = self._frames[columns] = Frame(columns)
        return frame

    def _forget(self) -> None:
        for frame in self._frames.values():
            del frame.steps[:], frame.values[:]
        self._waiting = 0

    def _bound(self) -> None:
        for frame in self._frames.values():
            while 8 * (len(frame.columns) + 1) * len(frame.steps) > MOST_WAITING:
                frame.give_up_half()

    def _write(self) -> None:
        run = self._connection.execute
        retained: list[tuple[Frame, Retention]] = []
        heartbeat = {"heartbeat": time.time(), "longest_pause": self._longest_pause, "last_step": self.last_step}
        dropped = sum(frame.dropped for frame in self._frames.values())
        if dropped:
            heartbeat["rows_given_up"] = dropped
        run("BEGIN IMMEDIATE")
        for key, value in {**self._facts, **heartbeat}.items():
            run("INSERT OR REPLACE INTO run VALUES (?, ?)", (key, json.dumps(value)))
        for statement, row in self._statements:
            run(statement, row)
        for frame in self._frames.values():
            if frame.steps:
                identity = self._identity(frame.columns)
                written = frame.retention.take(self._connection, identity, frame.steps, frame.values)
                retained.append((frame, written))
        run("COMMIT")
        for frame, written in retained:
            frame.retention = written
            del frame.steps[:], frame.values[:]
        self._facts.clear()
        self._statements.clear()
        self._waiting = 0

    def _identity(self, columns: tuple[Column, ...]) -> int:
        known = {column: identity for identity, column in self._series()}
        for name, layer in columns:
            if (name, layer) not in known:
                cursor = self._connection.execute("INSERT INTO series (name, layer) VALUES (?, ?)", (name, layer))
                known[name, layer] = int(cursor.lastrowid or 0)
        series = json.dumps([known[column] for column in columns], separators=(",", ":"))
        self._connection.execute("INSERT OR IGNORE INTO frame (series) VALUES (?)", (series,))
        return int(self._connection.execute("SELECT id FROM frame WHERE series = ?", (series,)).fetchone()[0])

    def _series(self) -> list[tuple[int, Column]]:
        rows = self._connection.execute("SELECT id, name, layer FROM series")
        return [(identity, (name, layer)) for identity, name, layer in rows]
