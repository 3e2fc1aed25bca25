"""Parquet tables, where pyarrow is installed."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Final

from unstuck.errors import LogError
from unstuck.logs.tables import Table

KINDS: Final = frozenset("double float halffloat int8 int16 int32 int64 uint8 uint16 uint32 uint64".split())
"""Types of a column that hold numbers."""


def table(path: Path) -> tuple[Table, dict[str, str]]:
    """Read the numbers of a Parquet file.

    Args:
        path: The file.

    Returns:
        Its table, null cells left out, and the settings that an export of ours keeps in its metadata.

    Raises:
        LogError: If pyarrow is not installed, or the file cannot be read.
    """
    try:
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError:
        do = "Install it: pip install 'unstuck[parquet]'."
        raise LogError("A Parquet file must be read with pyarrow", "no package 'pyarrow'", do) from None
    try:
        read = parquet.read_table(path)
    except Exception as error:  # pyarrow's own errors, of which there are many
        got = f"{path} ({type(error).__name__})"
        raise LogError("A Parquet file must be whole", got, "Give another.") from None
    found = Table()
    names = [name for name in read.column_names if str(read.schema.field(name).type) in KINDS]
    columns = {name: read.column(name).to_pylist() for name in names}
    for place in range(read.num_rows):
        found.add((name, columns[name][place]) for name in names)
    kept = read.schema.metadata or {}
    settings = {key.decode()[8:]: text.decode() for key, text in kept.items() if key.startswith(b"unstuck.")}
    return found, settings
