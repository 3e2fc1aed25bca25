"""Finding the runs that a path holds, whatever wrote them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import quote

from unstuck.errors import LogError
from unstuck.logs import hugging_face, mlflow, recorded, tables, tensorboard, weights_and_biases
from unstuck.logs.columns import named
from unstuck.logs.run import LoggedRun, Meaning

SQLITE: Final = b"SQLite format 3\x00"
TABLES: Final = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
KNOWN: Final = (*TABLES, weights_and_biases.SUFFIX, recorded.SUFFIX, ".db", ".sqlite")
LEFT_OUT: Final = frozenset({"node_modules", "site-packages", "__pycache__", "artifacts"})
DEEPEST: Final = 12
MOST_FOLDERS: Final = 20_000
FORMATS: Final = (
    "TensorBoard event files, CSV, JSON lines, Parquet, trainer_state.json, W&B's run-….wandb, MLflow's mlruns or "
    "database, records of unstuck"
)


def read(paths: Sequence[str | Path], mapping: Mapping[str, str] | None = None) -> tuple[LoggedRun, ...]:
    """Read every run that some files or folders hold.

    Args:
        paths: Files, or folders that are searched with all that is in them.
        mapping: Which column is which, where the names do not tell: a key of `MEANINGS` → column.

    Returns:
        The runs with their meanings, those that could be read; a note says what of them was left out.

    Raises:
        LogError: If a path does not exist, a file that was named itself cannot be read, no run was found, or the
            mapping names what there is not.
    """
    runs: list[LoggedRun] = []
    failed: list[LogError] = []
    for given in paths:
        path = Path(given)
        if not path.exists():
            raise LogError(
                "PATH must be a file or a folder of logs", f"{str(path)!r}, which does not exist", "Check it."
            )
        if path.is_dir():
            found, problems = _folder(path)
            runs += found
            failed += problems
        else:
            runs += _guarded(path, path.stem, True)
    if not runs:
        if failed:
            raise failed[0]
        got = f"nothing of the kind in {', '.join(map(str, paths))}"
        raise LogError("PATH must hold the log of a run", got, f"What can be read: {FORMATS}.")
    runs = [named(run, mapping) for run in _told_apart(runs)]
    usable = [run for run in runs if Meaning.TRAINING_LOSS in run.meanings or Meaning.VALIDATION_LOSS in run.meanings]
    if not usable:
        columns = list(dict.fromkeys(name for run in runs for name in run.columns))
        got = f"the columns {', '.join(map(repr, columns[:12]))}" if columns else "no numbers at all"
        raise LogError("A log must hold a loss", got, "Say which column it is: `--map loss=COLUMN`.")
    if failed:
        told = tuple(f"left out: {problem}" for problem in failed[:3])
        usable[0] = replace(usable[0], notes=(*usable[0].notes, *told))
    return tuple(usable)


def _guarded(path: Path, name: str, asked_for: bool) -> list[LoggedRun]:
    """The runs of a file; an error of the file system becomes one of ours."""
    try:
        return list(_file(path, name, asked_for))
    except OSError as error:
        got = f"{path} ({error.strerror or error})"
        raise LogError("A log must be a file that can be read", got, "Check its permissions.") from None


def _file(path: Path, name: str, asked_for: bool) -> Iterator[LoggedRun]:
    with path.open("rb") as file:
        start = file.read(4096)
    if tensorboard.is_events(path):
        yield tensorboard.read([path], path.parent.resolve().name)
    elif weights_and_biases.is_log(path) or path.suffix == weights_and_biases.SUFFIX:
        yield weights_and_biases.read(path, name)
    elif start.startswith(b"PAR1"):
        yield tables.read_parquet(path, name)
    elif path.suffix == recorded.SUFFIX:
        yield recorded.read(path)
    elif start.startswith(SQLITE):
        yield from _database(path, asked_for)
    elif path.name == hugging_face.NAME:
        yield hugging_face.read(path, _checkpoint_of(path))
    elif not start:
        raise LogError("A log must not be empty", f"{path} with 0 bytes", "Give another.")
    elif b"\0" in start and not start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise LogError("A log must be of a known format", f"the binary file {path}", f"What can be read: {FORMATS}.")
    elif path.suffix.lower() in (".jsonl", ".ndjson", ".json") or start.lstrip()[:1] in (b"{", b"["):
        is_state = b'"log_history"' in start or path.suffix == ".json" and _holds_history(path)
        yield hugging_face.read(path, name) if is_state else tables.read_json(path, name)
    else:
        yield tables.read_csv(path, name)


def _holds_history(path: Path) -> bool:
    if path.stat().st_size > tables.LARGEST_JSON:
        return False
    return b'"log_history"' in path.read_bytes()


def _database(path: Path, asked_for: bool) -> Iterator[LoggedRun]:
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True)) as opened:
            names = {name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error:
        names = set()
    if {"runs", "metrics", "params"} <= names:
        yield from mlflow.read_database(path)
    elif asked_for:
        got = f"{path}, an SQLite file without them"
        raise LogError("A database must hold MLflow's tables of runs and metrics", got, "Give another.")


def _checkpoint_of(path: Path) -> str:
    """The name of the run that a checkpoint belongs to."""
    folder = path.resolve().parent
    return folder.parent.name if folder.name.startswith("checkpoint-") else folder.name


def _folder(folder: Path) -> tuple[list[LoggedRun], list[LogError]]:
    runs, problems = list[LoggedRun](), list[LogError]()
    events: dict[Path, list[Path]] = {}
    states: dict[Path, list[Path]] = {}
    for path in _walk(folder):
        if path.is_dir():
            runs.append(mlflow.read_folder(path, path.name[:8]))
            continue
        if tensorboard.is_events(path):
            place = path.parent
            beside = {other.name for other in place.parent.iterdir() if other.is_dir()} if place != folder else set()
            parted = place.name in tensorboard.KERAS and set(tensorboard.KERAS) <= beside
            events.setdefault(place.parent if parted else place, []).append(path)
        elif path.name == hugging_face.NAME:
            parent = path.parent
            states.setdefault(parent.parent if parent.name.startswith("checkpoint-") else parent, []).append(path)
        else:
            try:
                runs += _of_a_kind(path, folder)
            except LogError as problem:
                problems.append(problem)
    for place, files in events.items():
        name = place.relative_to(folder).as_posix() if place != folder else folder.resolve().name
        runs.append(tensorboard.read(sorted(files, key=lambda file: (file.name, str(file))), name))
    for place, files in states.items():
        latest = max(files, key=lambda file: (_number_of(file.parent), file.stat().st_mtime))
        try:
            runs.append(hugging_face.read(latest, place.resolve().name))
        except LogError as problem:
            problems.append(problem)
    return [run for run in runs if run.columns], problems


def _of_a_kind(path: Path, folder: Path) -> list[LoggedRun]:
    """The runs of a file that was found, not named: a table counts only where it holds a loss."""
    stem = path.relative_to(folder).with_suffix("").as_posix()
    name = stem.removesuffix("/metrics") if path.stem == "metrics" else stem
    name = folder.resolve().name if name == "metrics" else name
    if path.suffix.lower() not in TABLES:
        return _guarded(path, name, False)
    try:
        found = _guarded(path, name, False)
    except LogError:
        return []  # some table that is no log
    losses = {Meaning.TRAINING_LOSS, Meaning.VALIDATION_LOSS}
    return [run for run in found if losses & set(named(run).meanings)]


def _number_of(folder: Path) -> int:
    digits = folder.name.rpartition("-")[2]
    return int(digits) if digits.isdigit() else 1 << 62  # the state at the end of the run has no number


def _walk(folder: Path) -> Iterator[Path]:
    """Files that look like logs, and folders of MLflow runs; links to folders and hidden ones are left out."""
    seen = 0
    for place, folders, files in os.walk(folder):
        here = Path(place)
        seen += 1
        too_deep = len(here.relative_to(folder).parts) >= DEEPEST or seen > MOST_FOLDERS
        if mlflow.is_run_folder(here):
            folders.clear()
            yield here
            continue
        kept = [name for name in folders if not name.startswith(".") and name not in LEFT_OUT]
        folders[:] = [] if too_deep else sorted(kept)
        for name in sorted(files):
            path = here / name
            known = "tfevents" in name or path.suffix.lower() in KNOWN
            if known and path.is_file() and not name.startswith("."):
                yield path


def _told_apart(runs: Iterable[LoggedRun]) -> list[LoggedRun]:
    """Give runs of the same name a number."""
    counts: dict[str, int] = {}
    found = []
    for run in runs:
        counts[run.name] = counts.get(run.name, 0) + 1
        found.append(run if counts[run.name] == 1 else replace(run, name=f"{run.name} ({counts[run.name]})"))
    return found
