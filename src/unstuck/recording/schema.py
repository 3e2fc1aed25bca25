"""The tables of a record, their versions, and the way from one version to the next."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final, final

from unstuck.errors import RecordError

SUFFIX: Final = ".unstuck"
APPLICATION: Final = 0x756E7374
"""`PRAGMA application_id`: "unst". Tells a record from any other SQLite file."""

MIGRATIONS: Final = (
    """
    CREATE TABLE run (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE layer (
        place INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, parameters INTEGER NOT NULL,
        depth INTEGER NOT NULL);
    CREATE TABLE series (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL, layer TEXT NOT NULL DEFAULT '', UNIQUE (name, layer));
    CREATE TABLE frame (id INTEGER PRIMARY KEY, series TEXT NOT NULL UNIQUE);
    CREATE TABLE block (
        id INTEGER PRIMARY KEY, frame INTEGER NOT NULL, start INTEGER NOT NULL, first_step INTEGER NOT NULL,
        last_step INTEGER NOT NULL, stride INTEGER NOT NULL, rows INTEGER NOT NULL, data BLOB NOT NULL);
    CREATE INDEX block_of_frame ON block (frame, start);
    CREATE TABLE epoch (number INTEGER PRIMARY KEY, step INTEGER NOT NULL, time REAL NOT NULL, measured TEXT NOT NULL);
    CREATE TABLE notice (
        id INTEGER PRIMARY KEY, time REAL NOT NULL, step INTEGER NOT NULL, code TEXT NOT NULL, name TEXT NOT NULL,
        severity TEXT NOT NULL, sentence TEXT NOT NULL, evidence TEXT NOT NULL, UNIQUE (code, step));
    """,
)
"""Script n takes a record from version n to version n + 1; the last one leaves the layout of today."""

VERSION: Final = len(MIGRATIONS)


@final
@dataclass(frozen=True, slots=True)
class LayerEntry:
    """A layer of the model that was watched.

    Attributes:
        name: In the model, such as "encoder.0.linear".
        kind: Class, such as "Linear".
        parameters: Numbers that it owns itself.
        depth: Order in which it ran in the forward pass, 0 first; -1 where it was not seen to run.
    """

    name: str
    kind: str
    parameters: int = 0
    depth: int = -1


@final
@dataclass(frozen=True, slots=True)
class Notice:
    """A finding that arose while the run went on.

    Attributes:
        step: Steps done when it arose.
        time: Seconds since the epoch, UTC.
        code: Of the rule, such as "OPT001".
        name: Of the rule, such as "learning-rate-too-high".
        severity: "severe" where the run cannot recover by itself, else "warning".
        sentence: What was seen, with the number that decided.
        evidence: The numbers, as plain data laid out like `Verdict.evidence`.
    """

    step: int
    time: float
    code: str
    name: str
    severity: str
    sentence: str
    evidence: tuple[object, ...] = ()


def prepare(connection: sqlite3.Connection) -> None:
    """Bring a new or older record to the layout of today, in one transaction.

    Args:
        connection: In autocommit mode, to a file that may be written.

    Raises:
        RecordError: If a newer version of `unstuck` has written it.
    """
    version = version_of(connection)
    if version == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for script in MIGRATIONS[version_of(connection) :]:
            for statement in script.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def version_of(connection: sqlite3.Connection) -> int:
    """The version of a record's layout; 0 for an empty file.

    Args:
        connection: To it.

    Returns:
        The version.

    Raises:
        RecordError: If it is of a newer version than this one.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        got = f"version {version}, where this one reads up to {VERSION}"
        raise RecordError("A record must be of a version that is known", got, "Install a newer `unstuck`.")
    return version
