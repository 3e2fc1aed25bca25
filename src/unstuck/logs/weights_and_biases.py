"""Weights & Biases' local runs (`run-….wandb`): a LevelDB log of protocol buffers, read without wandb."""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from unstuck.errors import LogError
from unstuck.logs.run import LoggedRun, LoggedSeries, ordered
from unstuck.logs.wire import Damaged, double, fields, part, signed, text

KIND: Final = "Weights & Biases run"
SUFFIX: Final = ".wandb"
MAGIC: Final = b":W&B\xe1\xbe"
BLOCK: Final = 32768
HEADER: Final = 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4

HISTORY, CONFIG, RUN = 2, 5, 17
"""Kinds of record that are read (wandb/proto/wandb_internal.proto)."""

OWN: Final = "_"
"""What the names of columns begin with that wandb adds itself: `_step`, `_runtime`, `_timestamp`."""


def is_log(path: Path) -> bool:
    """Whether a file begins as wandb's logs do."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def read(path: Path, name: str) -> LoggedRun:
    """Read a run.

    Args:
        path: The file `run-….wandb`.
        name: Of the run, where it has none of its own.

    Returns:
        The run; what follows a damaged place is left out, and a note says so.

    Raises:
        LogError: If it is no such file.
    """
    if not is_log(path):
        got = f"{path}, which is none or is empty"
        raise LogError("A W&B log must be a file `run-….wandb`", got, "Offline runs keep it in wandb/offline-run-…/.")
    found: dict[str, tuple[list[float], list[float]]] = {}
    settings: dict[str, str] = {}
    notes: list[str] = []
    title, place = "", 0
    try:
        for record in _records(path):
            for number, _, value in fields(record):
                if number == HISTORY:
                    place += _history(part(value), place, found)
                elif number == CONFIG:
                    _config(part(value), settings)
                elif number == RUN:
                    for inner, _, content in fields(part(value)):
                        if inner == 4:
                            _config(part(content), settings)
                        elif inner == 8:
                            title = text(content)
    except Damaged as problem:
        notes.append(f"{path.name} {problem}; what follows is left out")
    columns = dict[str, LoggedSeries]()
    for column, (steps, values) in found.items():
        columns[column], told = ordered(column, steps, values)
        notes += [told] if told else []
    return LoggedRun(title or name, path, KIND, "step", columns, {}, settings, (), tuple(notes))


def _records(path: Path) -> Iterator[bytes]:
    """Records of the log (LevelDB, doc/log_format.md; the checksum is the plain CRC-32 of type and data)."""
    with path.open("rb") as file:
        file.seek(HEADER)
        at, parts = HEADER, list[bytes]()
        while True:
            left = BLOCK - at % BLOCK
            if left < HEADER:  # too little for a header: the rest of a block is filled with zeros
                file.seek(left, 1)
                at += left
            header = file.read(HEADER)
            if not header:
                if parts:
                    raise Damaged("ends in the middle of a record")
                return
            if len(header) < HEADER:
                raise Damaged("ends in the middle of a record")
            checksum, length, kind = struct.unpack("<IHB", header)
            if kind == 0 and length == 0:  # a block that was set aside and never written
                return
            data = file.read(length)
            if len(data) < length:
                raise Damaged("ends in the middle of a record")
            if zlib.crc32(data, zlib.crc32(bytes([kind]))) != checksum:
                raise Damaged(f"is damaged at byte {at}")
            at += HEADER + length
            parts = [data] if kind in (FULL, FIRST) else [*parts, data]
            if kind in (FULL, LAST):
                yield b"".join(parts)
                parts = []


def _history(history: bytes, place: int, found: dict[str, tuple[list[float], list[float]]]) -> int:
    """Add one row; 1 where it held a number."""
    step, row = -1.0, dict[str, float]()
    for number, _, value in fields(history):
        if number == 2:
            step = float(next((signed(n) for f, _, n in fields(part(value)) if f == 1 and isinstance(n, int)), 0))
        elif number == 1:
            key, cell = _item(part(value))
            if isinstance(cell, int | float) and not isinstance(cell, bool):
                row[key] = float(cell)
    step = row.get("_step", step if step >= 0.0 else float(place))
    for key, value_there in row.items():
        if not key.startswith(OWN):
            steps, values = found.setdefault(key, ([], []))
            steps.append(step)
            values.append(value_there)
    return 1


def _item(item: bytes) -> tuple[str, Any]:
    """A key and its value: as JSON, or in newer versions as a number of its own."""
    key, nested = "", list[str]()
    cell: Any = None
    for number, _, value in fields(item):
        if number == 1:
            key = text(value)
        elif number == 2:
            nested.append(text(value))
        elif number == 5 and isinstance(value, int):
            cell = (value >> 1) ^ -(value & 1)  # zigzag
        elif number == 6:
            cell = double(value)
        elif number in (8, 16):
            cell = _decoded(text(value))
        elif number == 7:
            cell = text(value)
    return "/".join([key] * bool(key) + nested), cell


def _decoded(written: str) -> Any:
    """JSON, in which wandb writes NaN and infinities as text."""
    try:
        cell = json.loads(written)
    except (ValueError, RecursionError):
        return None
    special = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
    return special.get(cell, cell) if isinstance(cell, str) else cell


def _config(config: bytes, settings: dict[str, str]) -> None:
    for number, _, value in fields(config):
        if number != 1:
            continue
        key, cell = _item(part(value))
        if key and not key.startswith(OWN):
            settings.update(_flat(key, cell))


def _flat(key: str, cell: Any) -> Iterator[tuple[str, str]]:
    if isinstance(cell, dict):
        for inner, value in cell.items():
            yield from _flat(f"{key}.{inner}", value)
    else:
        yield key, str(cell)
