"""What lies in the folder that is served: records of runs and saved reports, each looked at again only when it changed.

A request names an item by its number, never by a path: what is not in the folder cannot be asked for.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, final

from unstuck.errors import RecordError
from unstuck.languages import translated
from unstuck.recording import RunInfo, open_record

RECORD_SUFFIX: Final = ".unstuck"
LOG_SUFFIX: Final = "-wal"
REPORT_SUFFIXES: Final = (".json", ".html")
REFRESH_SECONDS: Final = 0.5
"""How old a listing of the folder may be."""
STATUS_SECONDS: Final = 5.0
"""After which a run that was running is looked at again although its file is as it was: silence ends it."""
SHARE: Final = 10.0
"""How many times as long as a look at the folder takes there is none: a tenth of a processor at most."""
DEEPEST: Final = 4
MOST_FILES: Final = 20_000
HEAD_BYTES: Final = 4096

Kind = Literal["run", "report"]
Signature = tuple[int, ...]

_JSON_REPORT: Final = re.compile(rb'\A\{"sentence":("(?:[^"\\]|\\.)*")')
_HTML_REPORT: Final = re.compile(rb"<title>([^<]{0,400})unstuck</title>")


@final
@dataclass(frozen=True, slots=True)
class Item:
    """One file of the folder.

    Attributes:
        key: Names it in requests: a digest of its place in the folder.
        kind: A record of a run, or a saved report.
        path: Where it lies.
        shown: Its place in the folder, for display.
        signature: Changes whenever the file, or what is being written beside it, does.
        modified: When it last changed, seconds since the epoch.
        run: What the record says of its run; None for a report and for what cannot be read.
        sentence: The verdict of a report, or why the file cannot be read.
    """

    key: str
    kind: Kind
    path: Path
    shown: str
    signature: Signature
    modified: float
    run: RunInfo | None = None
    sentence: str = ""


def signature_of(path: Path | str) -> Signature:
    """What changes whenever a file is written to; a record in use is written to beside itself first.

    Args:
        path: The file.

    Returns:
        Inode, time and size of the file and of its write-ahead log.

    Raises:
        OSError: If there is no such file.
    """
    facts = os.stat(path)
    found = (facts.st_ino, facts.st_mtime_ns, facts.st_size)
    try:
        log = os.stat(f"{path}{LOG_SUFFIX}")
    except OSError:
        return found
    return (*found, log.st_mtime_ns, log.st_size)


def _files(folder: str, depth: int = 0) -> Iterator[tuple[str, Signature]]:
    """Path and signature of files that may be of interest; links are not followed, hidden folders are left alone."""
    try:
        with os.scandir(folder) as entries:
            inside = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
    logs = {entry.name for entry in inside if entry.name.endswith(LOG_SUFFIX)}
    for entry in inside:
        if entry.name.startswith(".") or entry.is_symlink():
            continue
        if entry.is_dir(follow_symlinks=False):
            if depth < DEEPEST:
                yield from _files(entry.path, depth + 1)
        elif entry.name.lower().endswith((RECORD_SUFFIX, *REPORT_SUFFIXES)):
            with suppress(OSError):  # it may have gone since
                if entry.name + LOG_SUFFIX in logs:
                    yield entry.path, signature_of(entry.path)
                else:
                    facts = entry.stat(follow_symlinks=False)
                    yield entry.path, (facts.st_ino, facts.st_mtime_ns, facts.st_size)


def verdict_in(path: Path) -> str | None:
    """The verdict of a saved report, from its first few kilobytes.

    Args:
        path: A ".json" or ".html" file.

    Returns:
        Its sentence; None where it is no report.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return None
    if path.suffix.lower() == ".json":
        found = _JSON_REPORT.match(head)
        return None if found is None else str(json.loads(found[1].decode("utf-8", "replace")))
    page = _HTML_REPORT.search(head)
    return None if page is None else page[1].decode("utf-8", "replace").rstrip(" ·") or path.stem


@final
class Library:
    """The items of a folder, listed at most twice a second whoever asks, and less often where that takes long.

    Args:
        folder: The folder; folders within are looked into, four deep.
        clock: Seconds that only go forward.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = folder.resolve()
        self._clock = clock
        self._lock = threading.Lock()
        self._listed = -float("inf")
        self._items: dict[str, Item] = {}
        self._known: dict[str, tuple[Signature, float, Item | None]] = {}
        self._version = 0
        self._cost = 0.0

    @property
    def version(self) -> int:
        """A number that changes whenever the listing does."""
        return self._version

    def items(self) -> dict[str, Item]:
        """Key → item, of everything there is."""
        with self._lock:
            now = self._clock()
            if now - self._listed >= max(REFRESH_SECONDS, SHARE * self._cost):
                found = self._look(now)
                if found != self._items:
                    self._version += 1
                self._items = found
                self._listed = self._clock()
                self._cost = self._listed - now
            return self._items

    def find(self, key: str) -> Item | None:
        """The item of that key, where there is one."""
        return self.items().get(key)

    def _look(self, now: float) -> dict[str, Item]:
        found: dict[str, Item] = {}
        known: dict[str, tuple[Signature, float, Item | None]] = {}
        for path, signature in itertools.islice(_files(str(self.folder)), MOST_FILES):
            before = self._known.get(path)
            if before is not None and before[0] == signature and not _grows_old(before[2], now - before[1]):
                known[path] = before
            else:
                known[path] = (signature, now, self._read(Path(path), signature))
            item = known[path][2]
            if item is not None:
                found[item.key] = item
        self._known = known
        return found

    def _read(self, path: Path, signature: Signature) -> Item | None:
        shown = path.relative_to(self.folder).as_posix()
        key = hashlib.blake2b(os.fsencode(shown), digest_size=9).hexdigest()
        modified = max(signature[1], signature[3] if len(signature) > 3 else 0) / 1e9

        def item(kind: Kind, run: RunInfo | None, sentence: str) -> Item:
            return Item(key, kind, path, shown, signature, modified, run, sentence)

        if path.name.lower().endswith(REPORT_SUFFIXES):
            sentence = verdict_in(path)
            return None if sentence is None else item("report", None, sentence)
        if signature[2] == 0 and len(signature) == 3:
            return None  # being made just now
        try:
            with open_record(path) as record:
                return item("run", record.info(), "")
        except (RecordError, ValueError, TypeError, KeyError) as error:
            return item("run", None, str(error))


def _grows_old(item: Item | None, seconds: float) -> bool:
    return item is not None and item.run is not None and item.run.status == "running" and seconds > STATUS_SECONDS


def told(item: Item) -> dict[str, Any]:
    """An item as the page gets it.

    Args:
        item: A run or a report.

    Returns:
        Plain data.
    """
    plain: dict[str, Any] = {
        "key": item.key,
        "kind": item.kind,
        "file": item.shown,
        "modified": item.modified,
        "sentence": translated(item.sentence),
    }
    if item.run is not None:
        run = item.run
        plain |= {
            "name": run.name,
            "status": run.status,
            "error": run.error,
            "created": run.created,
            "ended": run.ended,
            "last_step": run.last_step,
        }
    return plain
