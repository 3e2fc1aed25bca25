"""Reading a record, also while it is being written, and also one of an earlier version."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from pathlib import Path
from typing import Any, Final, final

from unstuck.errors import RecordError
from unstuck.recording.blocks import Buckets, unpack
from unstuck.recording.connections import damaged, for_reading
from unstuck.recording.rows import Epoch, RunInfo, Series, series_of
from unstuck.recording.schema import APPLICATION, VERSION, LayerEntry, Notice, prepare, version_of

SILENT_SECONDS: Final = 60.0
"""Seconds without a sign of life after which a run counts as crashed, where its own pauses were never longer."""

PAUSES: Final = 10.0
"""Multiple of the longest pause between two signs of life that a run may be silent."""

MAGIC: Final = b"SQLite format 3\x00"


@final
class Record:
    """A record that is open for reading. Each call shows what has been written by then.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Take an open connection; use `open_record` instead."""
        self.path = path
        self._connection = connection

    def __enter__(self) -> Record:
        """The record itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def info(self, now: float | None = None) -> RunInfo:
        """What it says of its run.

        Args:
            now: The time by which silence is judged, seconds since the epoch; None for the present.

        Returns:
            The facts.
        """
        facts = {key: json.loads(value) for key, value in self._rows("SELECT key, value FROM run")}
        created, status = float(facts.pop("created", 0.0)), str(facts.pop("status", "crashed"))
        heartbeat = float(facts.pop("heartbeat", created))
        silence = (time.time() if now is None else now) - heartbeat
        error = str(facts.pop("error", ""))
        if status == "running" and silence > max(SILENT_SECONDS, PAUSES * float(facts.get("longest_pause", 0.0))):
            status, error = "crashed", error or f"no sign of life for {silence:.0f} s"
        return RunInfo(
            self.path,
            str(facts.pop("name", self.path.stem)),
            created,
            heartbeat,
            facts.pop("ended", None),
            status,
            error,
            int(facts.pop("last_step", -1)),
            facts.pop("settings", {}),
            facts.pop("versions", {}),
            facts,
        )

    def layers(self) -> tuple[LayerEntry, ...]:
        """The layers of the model, in the order of the module tree."""
        rows = self._rows("SELECT name, kind, parameters, depth FROM layer ORDER BY place")
        return tuple(LayerEntry(*row) for row in rows)

    def names(self) -> tuple[tuple[str, str], ...]:
        """Name and layer ("" for none) of every series."""
        return tuple((name, layer) for name, layer in self._rows("SELECT name, layer FROM series ORDER BY id"))

    def series(self, name: str, layer: str = "", since: int = -1) -> Series:
        """One series; empty where there is none of that name.

        Args:
            name: Such as "loss".
            layer: What it belongs to, "" for none.
            since: Only rows that end after this step.

        Returns:
            Its rows, in the order of steps.
        """
        return self.table([(name, layer)], since)[name, layer]

    def table(self, wanted: list[tuple[str, str]] | None = None, since: int = -1) -> dict[tuple[str, str], Series]:
        """Several series at once, which costs hardly more than one.

        Args:
            wanted: Name and layer of each; None for all.
            since: Only rows that end after this step.

        Returns:
            Name and layer → series, empty where there is none.

        Raises:
            RecordError: If the file is damaged.
        """
        numbers = {(name, layer): number for number, name, layer in self._rows("SELECT id, name, layer FROM series")}
        parts: dict[tuple[str, str], list[Buckets]] = {key: [] for key in (numbers if wanted is None else wanted)}
        for frame, listed in self._rows("SELECT id, series FROM frame"):
            places = {number: place for place, number in enumerate(json.loads(listed))}
            here = {key: places[numbers[key]] for key in parts if numbers.get(key) in places}
            if not here:
                continue
            query = "SELECT data, rows, stride FROM block WHERE frame = ? AND last_step > ? ORDER BY start"
            for data, rows, stride in self._rows(query, (frame, since)):
                try:
                    block = unpack(data, rows, stride)
                except ValueError as error:
                    raise RecordError(*damaged(self.path, error)) from None
                for key, place in here.items():
                    parts[key].append(block.column(place))
        return {key: series_of(key, found, since) for key, found in parts.items()}

    def epochs(self) -> tuple[Epoch, ...]:
        """The epochs that have ended."""
        rows = self._rows("SELECT number, step, time, measured FROM epoch ORDER BY number")
        return tuple(Epoch(number, step, when, json.loads(measured)) for number, step, when, measured in rows)

    def notices(self, since: int = 0) -> tuple[Notice, ...]:
        """The findings that arose, in their order.

        Args:
            since: Leave out as many of the first.

        Returns:
            The others.
        """
        query = "SELECT step, time, code, name, severity, sentence, evidence FROM notice ORDER BY id LIMIT -1 OFFSET ?"
        rows = self._rows(query, (since,))
        return tuple(
            Notice(step, when, code, name, severity, sentence, tuple(json.loads(evidence)))
            for step, when, code, name, severity, sentence, evidence in rows
        )

    def version(self) -> int:
        """A number that changes whenever something has been written; for those who watch a record."""
        return int(self._rows("PRAGMA data_version")[0][0])

    def _rows(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise RecordError(*damaged(self.path, error)) from None


def is_record(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a record, by its first bytes."""
    try:
        with open(path, "rb") as file:
            head = file.read(72)
    except OSError:
        return False
    return head.startswith(MAGIC) and int.from_bytes(head[68:72], "big") == APPLICATION


def open_record(path: str | os.PathLike[str]) -> Record:
    """Open a record for reading; it may be being written, and it may lie where nothing can be written.

    Args:
        path: The file.

    Returns:
        The record, to be closed.

    Raises:
        RecordError: If it cannot be read, is no record, is damaged, or is of a newer version.
    """
    place = Path(path)
    if not place.is_file():
        raise RecordError("A record must be a file", f"{str(place)!r}, which is none", "Give the path of one.")
    try:
        connection = for_reading(place)
    except sqlite3.Error as error:
        raise RecordError(*damaged(place, error)) from None
    try:
        if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
            raise RecordError("A record must be one that `unstuck` has written", repr(str(place)), "Give another path.")
        if version_of(connection) < VERSION:
            copied = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            connection.backup(copied)
            connection.close()
            connection = copied
            prepare(connection)
    except sqlite3.Error as error:
        connection.close()
        raise RecordError(*damaged(place, error)) from None
    except RecordError:
        connection.close()
        raise
    return Record(place, connection)
