"""MLflow's local stores: the folder `mlruns`, and an SQLite file. Read without MLflow."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import quote

from unstuck.errors import LogError
from unstuck.logs.run import LoggedRun, LoggedSeries, ordered

FOLDER: Final = "MLflow run folder"
DATABASE: Final = "MLflow database"
INFINITE: Final = 1.7976931348623157e308
"""What MLflow keeps in its database in the place of infinity."""

SYSTEM: Final = "system/"


def is_run_folder(path: Path) -> bool:
    """Whether a folder is that of one run."""
    return (path / "meta.yaml").is_file() and (path / "metrics").is_dir()


def read_folder(path: Path, name: str) -> LoggedRun:
    """Read a run of the file store: one file a metric, lines of "time value step".

    Args:
        path: The folder of the run.
        name: Of the run.

    Returns:
        The run.
    """
    columns, notes = dict[str, LoggedSeries](), list[str]()
    for file in sorted((path / "metrics").rglob("*")):
        metric = file.relative_to(path / "metrics").as_posix()
        if not file.is_file() or metric.startswith(SYSTEM):
            continue
        rows, broken = [], 0
        for place, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines()):
            cells = line.split()
            try:
                rows.append((float(cells[2]) if len(cells) > 2 else float(place), float(cells[1])))
            except (ValueError, IndexError):
                broken += 1
        columns[metric], told = ordered(metric, *_in_order(rows))
        notes += [told] if told else []
        notes += [f"{broken} lines of the metric {metric!r} are damaged and were left out"] if broken else []
    settings = {
        file.relative_to(path / "params").as_posix(): file.read_text(encoding="utf-8", errors="replace").strip()
        for file in sorted((path / "params").rglob("*"))
        if file.is_file()
    }
    tag = path / "tags" / "mlflow.runName"
    title = tag.read_text(encoding="utf-8", errors="replace").strip() if tag.is_file() else ""
    return LoggedRun(title or name, path, FOLDER, "step", columns, {}, settings, (), tuple(notes))


def read_database(path: Path) -> Iterator[LoggedRun]:
    """Read every run of a database that is not deleted.

    Args:
        path: The SQLite file; it is opened for reading only.

    Yields:
        Each run that has metrics.

    Raises:
        LogError: If it cannot be read.
    """
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True, timeout=10.0)) as opened:
            query = "SELECT run_uuid, name FROM runs WHERE lifecycle_stage IS NOT 'deleted' ORDER BY start_time"
            for run, title in opened.execute(query).fetchall():
                found: dict[str, list[tuple[float, float]]] = {}
                rows = opened.execute(
                    "SELECT key, step, value, is_nan FROM metrics WHERE run_uuid = ? ORDER BY step, timestamp", (run,)
                )
                for key, step, value, is_nan in rows:
                    if not key.startswith(SYSTEM):
                        found.setdefault(key, []).append((float(step or 0), _restored(value, is_nan)))
                columns = {key: ordered(key, *_in_order(pairs))[0] for key, pairs in found.items()}
                settings = dict(opened.execute("SELECT key, value FROM params WHERE run_uuid = ?", (run,)).fetchall())
                if columns:
                    settings = {key: str(value) for key, value in settings.items()}
                    yield LoggedRun(title or run[:8], path, DATABASE, "step", columns, {}, settings)
    except sqlite3.Error as error:
        got = f"{path} ({error})"
        raise LogError("An MLflow database must be an SQLite file that can be read", got, "Give another.") from None


def _restored(value: float | None, is_nan: object) -> float:
    if is_nan or value is None:
        return math.nan
    return math.copysign(math.inf, value) if abs(value) >= INFINITE else float(value)


def _in_order(pairs: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Steps and values; values logged without a step, which all stand at step 0, are numbered through."""
    if len(pairs) > 1 and not any(step for step, _ in pairs):
        return [float(place) for place in range(len(pairs))], [value for _, value in pairs]
    return [step for step, _ in pairs], [value for _, value in pairs]
