"""Tables in text files: CSV of any columns (Lightning's and Keras's loggers among them), JSON lines, and JSON lists."""

from __future__ import annotations

import csv
import json
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from unstuck.errors import LogError
from unstuck.logs.run import LoggedRun, LoggedSeries, Real, ordered

CSV: Final = "CSV"
JSON_LINES: Final = "JSON lines"
JSON: Final = "JSON"
PARQUET: Final = "Parquet"
DELIMITERS: Final = ",;\t|"
LARGEST_JSON: Final = 200_000_000
"""Bytes of a JSON document; a log of lines may be of any size, for it is read line by line."""

STEP: Final = frozenset(
    "step steps globalstep iteration iterations iter it update updates numupdates trainerglobalstep trainglobalstep "
    "trainstep nstep currentstep".split()
)
EPOCH: Final = frozenset("epoch epochs ep trainepoch nepoch currentepoch".split())
INDEX: Final = frozenset({"", "unnamed: 0", "index"})
SETTINGS: Final = "hparams.yaml"


@final
@dataclass(slots=True)
class Table:
    """The cells of a table that hold numbers, column by column.

    Attributes:
        rows: Number of rows so far.
        places: Column → the rows in which it holds a number.
        values: Column → those numbers.
        words: Column → the text that it holds everywhere, for columns without numbers.
    """

    rows: int = 0
    places: dict[str, array[int]] = field(default_factory=dict)
    values: dict[str, array[float]] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)

    def add(self, row: Iterable[tuple[str, Any]], comma: bool = False) -> None:
        """Add a row: its cells by column; empty ones count as not logged."""
        for column, cell in row:
            if (value := _number(cell, comma)) is not None:
                place = self.places.get(column)
                if place is None:
                    place, self.values[column] = array("q"), array("d")
                    self.places[column] = place
                place.append(self.rows)
                self.values[column].append(value)
            elif isinstance(cell, str) and cell.strip():
                text = cell.strip()
                self.words[column] = text if self.words.get(column, text) == text else ""
        self.rows += 1

    def column(self, name: str) -> tuple[Real, Real]:
        """Rows and values of a column."""
        return np.asarray(self.places[name], np.float64), np.asarray(self.values[name], np.float64)


def read_csv(path: Path, name: str) -> LoggedRun:
    """Read a CSV file, divided by commas, semicolons, tabs or bars.

    Args:
        path: The file.
        name: Of the run.

    Returns:
        The run.

    Raises:
        LogError: If it has no header, or no row.
    """
    must = "A CSV log must begin with the names of its columns"
    table, cut = Table(), 0
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        header = file.readline()
        while header and (not header.strip() or header.startswith("# ")):
            header = file.readline()
        if not header.strip():
            raise LogError(must, f"the empty file {path}", "Give another.")
        delimiter = max(DELIMITERS, key=header.count)
        names = [column.strip() for column in next(csv.reader([header.lstrip("#")], delimiter=delimiter))]
        if all(_number(column, delimiter == ";") is not None for column in names):
            raise LogError(must, f"numbers in the first line of {path}", "Put a line such as `step,loss` above them.")
        rows = csv.reader((row.replace("\0", "") for row in file), delimiter=delimiter)
        while True:
            try:
                row = next(rows, None)
            except csv.Error:  # such as a field that is longer than any number
                cut += 1
                continue
            if row is None:
                break
            if row and (row[0] != names[0] or row != names):  # the header again, where a run was taken up again
                cut += len(row) < len(names)
                table.add(zip(names, row, strict=False), delimiter == ";")
    notes = [f"{cut} of the {table.rows} rows of {path.name} are shorter than its header"] if cut else []
    if table.rows == 0:
        raise LogError("A CSV log must have rows below its header", f"none in {path}", "Give one of a run.")
    return _run(table, path, name, CSV, notes)


def read_json(path: Path, name: str) -> LoggedRun:
    """Read JSON lines, a JSON list of such objects, or an object of lists as Keras's `history.history` is.

    Args:
        path: The file.
        name: Of the run.

    Returns:
        The run.

    Raises:
        LogError: If it is none of these.
    """
    table, broken, kind = Table(), 0, JSON_LINES
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for line in file:
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                broken += 1
                if broken > 100 and table.rows == 0:
                    break
                continue
            if isinstance(row, dict) and not any(isinstance(value, list) for value in row.values()):
                table.add(_flat(row))
            else:
                broken += 1
    if table.rows == 0 or broken > table.rows:
        table, broken, kind = _document(path), 0, JSON
    notes = [f"{broken} of the lines of {path.name} are no JSON objects and were left out"] if broken else []
    return _run(table, path, name, kind, notes)


def read_parquet(path: Path, name: str) -> LoggedRun:
    """Read a Parquet file, for which pyarrow must be installed."""
    from unstuck.logs.parquet import table  # which needs `Table`

    found, settings = table(path)
    run = _run(found, path, name, PARQUET, [])
    return replace(run, settings={**run.settings, **settings})


def _document(path: Path) -> Table:
    must = "A JSON log must be lines of objects, a list of objects, or an object of lists of numbers"
    do = 'Write one object a line: {"step": 0, "loss": 2.3}.'
    if path.stat().st_size > LARGEST_JSON:
        raise LogError(must, f"{path}, a document of {path.stat().st_size / 1e6:.0f} MB", do)
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig", errors="replace"))
    except (ValueError, RecursionError):
        raise LogError(must, f"{path}, which is no JSON or is cut off", do) from None
    table = Table()
    if isinstance(document, dict):
        lists = {key: value for key, value in document.items() if isinstance(value, list) and value}
        length = max(map(len, lists.values()), default=0)
        for place in range(length):
            table.add((key, value[place]) for key, value in lists.items() if place < len(value))
    elif isinstance(document, list):
        for row in document:
            if isinstance(row, dict):
                table.add(_flat(row))
    if not table.values:
        raise LogError(must, f"{path}, which holds no numbers so", do)
    return table


def _flat(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in row.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", value


def _number(cell: Any, comma: bool = False) -> float | None:
    """The number in a cell, or None where it holds none."""
    if type(cell) is str:  # nearly every cell of a long CSV file
        try:
            return float(cell)
        except ValueError:
            pass
    if isinstance(cell, bool) or cell is None:
        return None
    if isinstance(cell, int | float):
        try:
            return float(cell)
        except OverflowError:
            return None
    if not isinstance(cell, str) or not (text := cell.strip()):
        return None
    if text[0] in "t[" and text.startswith(("tensor(", "[")):
        text = text.removeprefix("tensor(").strip("[])").partition(",")[0]
    try:
        return float(text.replace(",", ".") if comma else text)
    except ValueError:
        return None


def _plain(column: str) -> str:
    return "".join(letter for letter in column.lower() if letter.isalnum())


def _run(table: Table, path: Path, name: str, kind: str, notes: list[str]) -> LoggedRun:
    steps, axis, counted = _steps(table)
    columns: dict[str, LoggedSeries] = {}
    for column in table.values:
        if column == counted or column.lower() in INDEX:
            continue
        rows, values = table.column(column)
        columns[column], told = ordered(column, steps[rows.astype(np.int64)], values)
        if told and told.replace(repr(column), "") not in {note.replace(repr(column), "") for note in notes}:
            notes.append(told)
    settings = {column: text for column, text in table.words.items() if text and column not in table.values}
    settings |= _settings(path.parent / SETTINGS)
    return LoggedRun(name, path, kind, axis, columns, {}, settings, _epoch_ends(table, steps, axis), tuple(notes))


def _steps(table: Table) -> tuple[Real, str, str]:
    """The step of each row, what it counts, and the column that it is from."""
    for known, axis in ((STEP, "step"), (EPOCH, "epoch")):
        for column in table.values:
            rows, values = table.column(column)
            if _plain(column) not in known or not np.isfinite(values).all() or len(values) < table.rows / 2:
                continue
            if axis == "epoch" and len(np.unique(values)) < len(values) / 2:
                continue  # several rows an epoch: the rows count better
            steps = np.full(table.rows, np.nan)
            steps[rows.astype(np.int64)] = values
            known_at = np.maximum.accumulate(np.where(np.isfinite(steps), np.arange(table.rows), -1))
            return np.where(known_at >= 0, steps[np.maximum(known_at, 0)], values[0]), axis, column
    return np.arange(table.rows, dtype=np.float64), "row", ""


def _epoch_ends(table: Table, steps: Real, axis: str) -> tuple[float, ...]:
    """The last step of each epoch, where there is a column of epochs beside the steps."""
    for column in table.values:
        if axis == "epoch" or _plain(column) not in EPOCH:
            continue
        rows, values = table.column(column)
        at, epochs = steps[rows.astype(np.int64)], np.floor(values)
        if not np.isfinite(values).all() or np.any(np.diff(epochs) < 0.0):
            return ()
        last = np.append(np.flatnonzero(np.diff(epochs)), len(epochs) - 1)
        return tuple(float(step) for step in at[last])
    return ()


def _settings(path: Path) -> dict[str, str]:
    """The flat part of the `hparams.yaml` that Lightning puts beside its log."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[:1000]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines if line[:1].isalpha() or line[:1] == "_")
    return {key.strip(): value.strip() for key, _, value in pairs if value.strip()}
