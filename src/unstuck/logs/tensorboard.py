"""TensorBoard event files, as written by TensorFlow, Keras and `torch.utils.tensorboard`."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from unstuck.logs.run import LoggedRun, ordered
from unstuck.logs.wire import Damaged, double, fields, part, signed, text

KIND: Final = "TensorBoard event files"
PATTERN: Final = "*tfevents*"
KERAS: Final = {"train": "train", "validation": "validation"}
"""Folders into which Keras and `add_scalars` divide one run, and what they put in front of a tag."""

TYPES: Final = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}
"""Types of a tensor that holds a number (tensorflow/core/framework/types.proto)."""

POLYNOMIAL: Final = 0x82F63B78
SESSION: Final = "_hparams_/session_start_info"


def _table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    return table


_CRC: Final = _table()


def _masked_checksum(data: bytes) -> int:
    """The checksum of a record's length (Castagnoli's CRC-32, rotated; tensorflow/core/lib/hash/crc32c.h)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return (crc >> 15 | crc << 17) + 0xA282EAD8 & 0xFFFFFFFF


def is_events(path: Path) -> bool:
    """Whether a file is named as TensorBoard names its files."""
    return "tfevents" in path.name


def read(files: list[Path], name: str) -> LoggedRun:
    """Read a run.

    Args:
        files: Its event files, in the order in which they were written; those in a folder `train` or `validation`
            beside each other belong to one run of Keras.
        name: Of the run.

    Returns:
        The run; what follows a damaged place is left out, and a note says so.
    """
    found: dict[str, tuple[list[float], list[float]]] = {}
    settings: dict[str, str] = {}
    notes: list[str] = []
    split = len({path.parent for path in files}) > 1
    for path in files:
        prefix = f"{path.parent.name}/" if split else ""
        try:
            for message in _records(path):
                for tag, step, value in _scalars(message, settings):
                    steps, values = found.setdefault(prefix + tag, ([], []))
                    steps.append(step)
                    values.append(value)
        except Damaged as problem:
            notes.append(f"{path.name} {problem}; what follows is left out")
    columns = {}
    for tag, (steps, values) in found.items():
        columns[tag], told = ordered(tag, steps, values)
        notes += [told] if told else []
    folder = files[0].parent
    return LoggedRun(name, folder.parent if split else folder, KIND, "step", columns, {}, settings, (), tuple(notes))


def _records(path: Path) -> Iterator[bytes]:
    """Records of a file: length, checksum of the length, data, checksum of the data (TFRecord)."""
    with path.open("rb") as file:
        at = 0
        while head := file.read(12):
            if len(head) < 12:
                raise Damaged("ends in the middle of a record")
            length, checksum = struct.unpack("<QI", head)
            if _masked_checksum(head[:8]) != checksum:
                raise Damaged(f"is damaged at byte {at}")
            data = file.read(length + 4)
            if len(data) < length + 4:
                raise Damaged("ends in the middle of a record")
            yield data[:length]
            at += 16 + length


def _scalars(event: bytes, settings: dict[str, str]) -> Iterator[tuple[str, float, float]]:
    """Scalars of an event: field 2 is the step, field 5 the summary (tensorflow/core/util/event.proto)."""
    step, summaries = 0, []
    for number, _, value in fields(event):
        if number == 2 and isinstance(value, int):
            step = signed(value)
        elif number == 5:
            summaries.append(part(value))
    for summary in summaries:
        for number, _, value in fields(summary):
            if number != 1:
                continue
            tag, scalar = _value(part(value), settings)
            if scalar is not None:
                yield tag, float(step), scalar


def _value(value: bytes, settings: dict[str, str]) -> tuple[str, float | None]:
    tag, scalar, metadata = "", None, b""
    for number, _, content in fields(value):
        if number == 1:
            tag = text(content)
        elif number == 2:
            scalar = double(content)
        elif number == 8:
            scalar = _tensor(part(content))
        elif number == 9:
            metadata = part(content)
    if tag == SESSION:
        settings.update(_hyperparameters(metadata))
        return tag, None
    return tag, scalar


def _tensor(tensor: bytes) -> float | None:
    """A tensor of one number, or None."""
    kind, content, numbers = 0, b"", list[float]()
    for number, wire, value in fields(tensor):
        if number == 1 and isinstance(value, int):
            kind = value
        elif number == 2 and any(field == 2 for field, *_ in fields(part(value))):
            return None  # it has dimensions
        elif number == 4:
            content = part(value)
        elif number in (5, 6):
            size = 4 if number == 5 else 8
            data = part(value)
            numbers += (
                [double(data[at : at + size]) for at in range(0, len(data), size)] if wire == 2 else [double(data)]
            )
    if kind not in TYPES:
        return None
    if content:
        array = np.frombuffer(content, TYPES[kind])
        return float(array[0]) if len(array) == 1 else None
    return numbers[0] if len(numbers) == 1 else None


def _hyperparameters(metadata: bytes) -> dict[str, str]:
    """Settings that `add_hparams` wrote (tensorboard/plugins/hparams/plugin_data.proto)."""
    found: dict[str, str] = {}
    content = _inside(_inside(metadata, 1), 2)
    for number, _, entry in fields(_inside(content, 3)):
        if number != 1:
            continue
        pair = {field: value for field, _, value in fields(part(entry))}
        for field, _, value in fields(part(pair.get(2, b""))):
            if field == 2:
                found[text(pair.get(1, b""))] = f"{double(value):g}"
            elif field in (3, 4):
                found[text(pair.get(1, b""))] = text(value) if field == 3 else str(bool(value))
    return found


def _inside(message: bytes, wanted: int) -> bytes:
    return next((part(value) for number, _, value in fields(message) if number == wanted), b"")
