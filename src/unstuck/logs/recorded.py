"""Records that `unstuck` itself made."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from unstuck.errors import LogError, RecordError
from unstuck.logs.run import LoggedRun, LoggedSeries
from unstuck.recording import open_record

KIND: Final = "record of unstuck"
SUFFIX: Final = ".unstuck"


def read(path: Path) -> LoggedRun:
    """Read the series of the run as a whole, those of its epochs among them.

    Args:
        path: The record.

    Returns:
        The run.

    Raises:
        LogError: If it cannot be read.
    """
    try:
        with open_record(path) as record:
            info, table, epochs = record.info(), record.table(), record.epochs()
    except RecordError as error:
        raise LogError("A record must be one that can be read", f"{path} ({error})", "Give another.") from None
    columns = {
        name: LoggedSeries(name, np.asarray(series.steps, np.float64), np.asarray(series.values, np.float64))
        for (name, layer), series in table.items()
        if not layer
    }
    for name in dict.fromkeys(name for epoch in epochs for name in epoch.measured):
        if name not in columns:
            pairs = [(epoch.step, epoch.measured[name]) for epoch in epochs if name in epoch.measured]
            steps, values = np.asarray(pairs, np.float64).T
            columns[name] = LoggedSeries(name, steps, values)
    settings = {key: str(value) for key, value in info.settings.items()}
    ends = tuple(float(epoch.step) for epoch in epochs)
    notes = () if info.status == "finished" else (f"the record says that the run is {info.status}",)
    return LoggedRun(info.name, path, KIND, "step", columns, {}, settings, ends, notes)
