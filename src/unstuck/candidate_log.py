"""Which candidates were judged on which validation samples: a JSON-lines file beside the project.

Each line is written by one call that appends, under a lock where the system has one, so that two processes do not mix
their lines. A line that cannot be read is passed over and counted; a file that cannot be written costs a note.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

DEFAULT: Final = Path(".unstuck") / "candidates.jsonl"
"""Where it is kept, in the folder that `unstuck` is run from."""

LARGEST: Final = 64_000_000
"""Bytes that are read at most; more is no log of this kind."""


@final
@dataclass(frozen=True, slots=True)
class Known:
    """What the log says of one set of validation samples.

    Attributes:
        candidates: Keys of the different candidates judged on them.
        unreadable: Lines that could not be read.
    """

    candidates: frozenset[str]
    unreadable: int = 0


def read(fingerprint: str, path: Path = DEFAULT) -> Known:
    """Read what was tried on some samples.

    Args:
        fingerprint: Of the samples.
        path: The log.

    Returns:
        What it says; nothing where there is no log, or it cannot be read.
    """
    try:
        if path.stat().st_size > LARGEST:
            return Known(frozenset(), 1)
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return Known(frozenset())
    found, unreadable = set[str](), 0
    for row in text.splitlines():
        if not row.strip():
            continue
        try:
            entry = json.loads(row)
            samples, candidate = entry["samples"], entry["candidate"]
        except (ValueError, TypeError, KeyError, RecursionError):
            unreadable += 1
            continue
        if isinstance(samples, str) and isinstance(candidate, str):
            if samples == fingerprint:
                found.add(candidate)
        else:
            unreadable += 1
    return Known(frozenset(found), unreadable)


def append(fingerprint: str, candidates: Iterable[str], path: Path = DEFAULT) -> str:
    """Note candidates that were judged on some samples.

    Args:
        fingerprint: Of the samples.
        candidates: Their keys.
        path: The log; its folder is made where needed.

    Returns:
        Why it could not be written, or "".
    """
    rows = [json.dumps({"samples": fingerprint, "candidate": key}) for key in candidates]
    if not rows:
        return ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            _lock(handle)
            size = os.fstat(handle).st_size
            os.lseek(handle, max(0, size - 1), os.SEEK_SET)
            torn = size > 0 and os.read(handle, 1) != b"\n"  # a line that another run left unfinished
            os.write(handle, (("\n" if torn else "") + "\n".join(rows) + "\n").encode())
        finally:
            os.close(handle)  # which also gives the lock back
    except OSError as error:
        return f"the log of candidates could not be written to {path}: {error.strerror or error}"
    return ""


def _lock(handle: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: a single appending write is whole there too
        return
    fcntl.flock(handle, fcntl.LOCK_EX)
