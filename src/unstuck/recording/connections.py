"""The file of a record, opened: made anew, to go on with, or for reading only."""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from unstuck.errors import RecordError
from unstuck.recording.schema import APPLICATION, SUFFIX, prepare


def made_in(folder: str | os.PathLike[str], name: str, now: float) -> tuple[Path, sqlite3.Connection]:
    """Make a file of its own for a record, which no other process can have chosen.

    Args:
        folder: Where to; made where it does not exist.
        name: What the run is called; part of the file's name.
        now: Seconds since the epoch, UTC; likewise.

    Returns:
        The file, and a connection that can write.

    Raises:
        RecordError: If the folder cannot be written to.
    """
    place = Path(folder).absolute()  # the program may change its directory
    stamp = datetime.fromtimestamp(now, timezone.utc).strftime("%Y%m%d-%H%M%S")
    plain = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run"
    path = place / f"{stamp}-{plain[:60]}-{os.urandom(2).hex()}{SUFFIX}"
    try:
        place.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644))
        return path, for_writing(path)
    except (OSError, sqlite3.Error) as error:
        with suppress(OSError):
            path.unlink()
        raise RecordError(*unwritable(path, error)) from None


def for_writing(path: Path) -> sqlite3.Connection:
    """A connection that can write, to a file that is a record or empty; `sqlite3.Error` where it is neither."""
    connection = sqlite3.connect(path, timeout=2.0, isolation_level=None, check_same_thread=False)
    try:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        if application not in (0, APPLICATION):
            raise sqlite3.DatabaseError("it is a database of something else")
        prepare(connection)  # before the write-ahead log, so that the file itself says from the first moment what it is
        with suppress(sqlite3.OperationalError):  # a file system without shared memory keeps the plain journal
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint = 2000")
        connection.execute("PRAGMA journal_size_limit = 0")
    except BaseException:
        connection.close()
        raise
    return connection


def for_reading(place: Path) -> sqlite3.Connection:
    """A connection that cannot write; where not even locks can be made, one that takes the file as it lies."""
    address = place.resolve().as_uri()
    for way in ("?mode=ro", "?immutable=1"):
        connection = sqlite3.connect(
            address + way, uri=True, timeout=2.0, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            connection.close()
            if way == "?immutable=1":
                raise
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise AssertionError("one of the two ways returns or raises")


def unwritable(path: Path, error: Exception) -> tuple[str, str, str]:
    """What to say of a record that cannot be written."""
    reason = getattr(error, "strerror", None) or str(error)
    return "A record must be in a folder that can be written to", f"{str(path)!r}: {reason}", "Name one."


def damaged(path: Path, error: Exception) -> tuple[str, str, str]:
    """What to say of a record that cannot be read."""
    got = f"{str(path)!r}: {error}"
    do = "What is whole can be got out by `sqlite3 FILE .recover`."
    return "A record must be a file that can be read and is not damaged", got, do
