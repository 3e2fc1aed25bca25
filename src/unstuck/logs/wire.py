"""Protocol buffers without their schema: the fields of a message, as they stand on the wire."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

VARINT: Final = 0
EIGHT_BYTES: Final = 1
BYTES: Final = 2
FOUR_BYTES: Final = 5

Field = tuple[int, int, "int | bytes"]
"""Number, wire type, and the number or the bytes that it holds."""


class Damaged(ValueError):
    """What was read is no message."""


def fields(message: bytes) -> Iterator[Field]:
    """The fields of a message in order (Protocol Buffers, "Encoding", 2024).

    Args:
        message: Its bytes.

    Yields:
        Each field; numbers of eight and four bytes as bytes, little-endian.

    Raises:
        Damaged: If the bytes are no message.
    """
    at, end = 0, len(message)
    while at < end:
        key, at = varint(message, at)
        kind = key & 7
        if kind == VARINT:
            value, at = varint(message, at)
            yield key >> 3, kind, value
            continue
        if kind == BYTES:
            size, at = varint(message, at)
        elif kind == EIGHT_BYTES:
            size = 8
        elif kind == FOUR_BYTES:
            size = 4
        else:
            raise Damaged(f"a field of wire type {kind}")
        if at + size > end:
            raise Damaged("a field that is longer than its message")
        yield key >> 3, kind, message[at : at + size]
        at += size


def varint(message: bytes, at: int) -> tuple[int, int]:
    """A number of variable length.

    Args:
        message: The bytes.
        at: Where it begins.

    Returns:
        The number, not negative, and where the next field begins.

    Raises:
        Damaged: If it does not end.
    """
    value = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise Damaged("a number that does not end")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def signed(value: int) -> int:
    """A varint as a 64-bit number with its sign."""
    return value - (1 << 64) if value >= 1 << 63 else value


def double(value: int | bytes) -> float:
    """Eight or four bytes as a number."""
    if isinstance(value, int):
        return float(signed(value))
    return float(struct.unpack("<d" if len(value) == 8 else "<f", value)[0])


def text(value: int | bytes) -> str:
    """Bytes as text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def part(value: int | bytes) -> bytes:
    """The bytes of a field that holds a message.

    Args:
        value: The field.

    Returns:
        Its bytes.

    Raises:
        Damaged: If it holds a number.
    """
    if isinstance(value, bytes):
        return value
    raise Damaged("a number where a message should be")
