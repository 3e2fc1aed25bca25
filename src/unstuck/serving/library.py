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
from unstuck.languages import marked, translated
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
READ_SECONDS: Final = 0.3
"""How long one look may read new files, the newest first: the first screen must not wait for thousands of old runs."""
READ_AT_LEAST: Final = 20
DEEPEST: Final = 4
MOST_FILES: Final = 20_000
HEAD_BYTES: Final = 4096

UNREAD: Final = marked("not read yet")
"""The status of a run whose record has not been looked into yet."""

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
        is_read: Whether it has been looked into; until then nothing but its place and its time is known.
    """

    key: str
    kind: Kind
    path: Path
    shown: str
    signature: Signature
    modified: float
    run: RunInfo | None = None
    sentence: str = ""
    is_read: bool = True


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
        self._unread = 0

    @property
    def version(self) -> int:
        """A number that changes whenever the listing does."""
        return self._version

    def items(self) -> dict[str, Item]:
        """Key → item, of everything there is."""
        with self._lock:
            now = self._clock()
            if now - self._listed >= max(REFRESH_SECONDS, (1.0 if self._unread else SHARE) * self._cost):
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
        files = dict(itertools.islice(_files(str(self.folder)), MOST_FILES))
        known = {path: self._known[path] for path in files if path in self._known}
        new = [path for path, signature in files.items() if not _is_still(known.get(path), signature, now)]
        new.sort(key=lambda path: -_modified(files[path]))
        unread, until = set[str](), self._clock() + READ_SECONDS
        for place, path in enumerate(new):
            if place >= READ_AT_LEAST and self._clock() > until:
                unread.update(new[place:])
                break
            known[path] = (files[path], now, self._read(Path(path), files[path]))
        self._known, self._unread = known, len(unread)
        found: dict[str, Item] = {}
        for path, signature in files.items():
            item = known[path][2] if path in known else self._unread_item(Path(path), signature)
            if item is not None:
                found[item.key] = item
        return found

    def _place(self, path: Path) -> tuple[str, str]:
        """Key of a file, and its place in the folder."""
        shown = path.relative_to(self.folder).as_posix()
        return hashlib.blake2b(os.fsencode(shown), digest_size=9).hexdigest(), shown

    def _unread_item(self, path: Path, signature: Signature) -> Item | None:
        """A file that is likely a record; whether another is a report cannot be told from outside."""
        if not path.name.lower().endswith(RECORD_SUFFIX):
            return None
        key, shown = self._place(path)
        return Item(key, "run", path, shown, signature, _modified(signature), is_read=False)

    def _read(self, path: Path, signature: Signature) -> Item | None:
        key, shown = self._place(path)
        modified = _modified(signature)

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


def _modified(signature: Signature) -> float:
    return max(signature[1], signature[3] if len(signature) > 3 else 0) / 1e9


def _is_still(before: tuple[Signature, float, Item | None] | None, signature: Signature, now: float) -> bool:
    """Whether what is known of a file still holds."""
    return before is not None and before[0] == signature and not _grows_old(before[2], now - before[1])


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
    if not item.is_read:
        plain["status"] = UNREAD
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
