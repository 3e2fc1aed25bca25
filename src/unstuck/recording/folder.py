"""The records of a folder."""

from __future__ import annotations

import os
from pathlib import Path

from unstuck.errors import RecordError
from unstuck.recording.reader import is_record, open_record
from unstuck.recording.rows import RunInfo
from unstuck.recording.schema import SUFFIX


def records_in(folder: str | os.PathLike[str]) -> tuple[tuple[RunInfo, ...], tuple[str, ...]]:
    """Look at every record of a folder and of the folders within.

    Args:
        folder: Where they are.

    Returns:
        What each says of its run, the oldest first; and a sentence for each that cannot be read.

    Raises:
        RecordError: If there is no such folder.
    """
    place = Path(folder)
    if not place.is_dir():
        raise RecordError("The folder must exist", f"{str(place)!r}", "Give the path of one that holds records.")
    found: list[RunInfo] = []
    broken: list[str] = []
    for path in sorted(place.rglob(f"*{SUFFIX}")):
        if not path.is_file():
            continue
        try:
            if not is_record(path) and path.stat().st_size == 0:
                continue  # being made just now
            with open_record(path) as record:
                found.append(record.info())
        except RecordError as error:
            broken.append(str(error))
    return tuple(sorted(found, key=lambda info: info.created)), tuple(broken)
