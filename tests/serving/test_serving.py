"""What the page is told of a folder, and that it is told soon, cheaply, and only what is there."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.render import samples
from tests.serving.asking import TOKEN, ask
from tests.serving.conftest import HOSTILE, feed
from unstuck.languages import use
from unstuck.recording import RecordWriter, Series, open_record
from unstuck.serving import library as library_module
from unstuck.serving.app import SEALED, application, events, report_page
from unstuck.serving.curves import Known, shown_of, thinned
from unstuck.serving.library import Item, Library, told

PORT = 8650


def key_of(folder: Path, name: str) -> str:
    for item in Library(folder).items().values():
        if item.run is not None and item.run.name == name or item.shown == name:
            return item.key
    raise AssertionError(f"{name} is not listed")


def test_a_folder_lists_its_records_and_reports_and_nothing_else(folder: Path, writer: RecordWriter) -> None:
    items = Library(folder).items().values()
    assert sorted((item.kind, item.run.name if item.run else item.shown) for item in items) == [
        ("report", "report.json"), ("run", HOSTILE), ("run", "digits"),
    ]  # fmt: skip
    assert next(item.sentence for item in items if item.kind == "report") == samples.sick().sentence
    assert {item.run.status for item in items if item.run} == {"running", "finished"}


def test_a_file_is_looked_into_again_only_when_it_changed(
    folder: Path, writer: RecordWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    real = Library._read

    def counted(self: Library, path: Path, signature: tuple[int, ...]) -> Item | None:
        looked.append(path.name)
        return real(self, path, signature)

    monkeypatch.setattr(Library, "_read", counted)
    now = [0.0]
    library = Library(folder, clock=lambda: now[0])
    library.items()
    first, version = len(looked), library.version
    library.items()
    now[0] = 1.0
    library.items()
    assert len(looked) == first and library.version == version
    feed(writer, range(50, 60))
    writer.flush()
    now[0] = 2.0
    assert {item.run.last_step for item in library.items().values() if item.run and item.run.name == HOSTILE} == {59}
    assert looked[first:] == [writer.path.name] and library.version == version + 1


def test_a_run_whose_writer_died_is_shown_as_crashed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writing = RecordWriter.create(folder, "killed")
    feed(writing, range(20))
    writing.flush()
    for ending in ("", "-wal"):  # what kill -9 leaves behind
        shutil.copy(f"{writing.path}{ending}", f"{folder / 'left.unstuck'}{ending}")
    writing.close()
    writing.path.unlink()
    now = [0.0]
    library = Library(folder, clock=lambda: now[0])
    (item,) = [item for item in library.items().values() if item.shown == "left.unstuck"]
    assert item.run is not None and item.run.status == "running" and item.run.last_step == 19
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    now[0] = 10.0
    found = library.find(item.key)
    assert found is not None and found.run is not None and found.run.status == "crashed"


@pytest.mark.parametrize("content", [b"", b"half a fi", b"SQLite format 3\x00" + b"\xff" * 5000, b"\x80\x04pickle"])
def test_a_half_written_or_foreign_file_is_told_and_stops_nothing(folder: Path, content: bytes) -> None:
    (folder / "odd.unstuck").write_bytes(content)
    app = application(folder, PORT, TOKEN)
    listed = {item["file"]: item for item in json.loads(ask(app, "/api/list").body)["items"]}
    assert ("odd.unstuck" in listed) is bool(content)
    assert any(item.get("name") == "digits" for item in listed.values())
    if content:
        assert "record" in listed["odd.unstuck"]["sentence"]
        assert ask(app, f"/api/run/{listed['odd.unstuck']['key']}").status == 422


def test_a_record_cut_off_in_the_middle_is_told(folder: Path) -> None:
    (path,) = folder.glob("*digits*.unstuck")
    (folder / "cut.unstuck").write_bytes(path.read_bytes()[:5000])
    items = {item.shown: item for item in Library(folder).items().values()}
    assert items["cut.unstuck"].run is None and items["cut.unstuck"].sentence


def test_a_run_is_shown_with_its_curves_its_epochs_and_what_was_noticed(folder: Path) -> None:
    answer = json.loads(
        ask(application(folder, PORT, TOKEN), f"/api/run/{key_of(folder, 'digits')}?layers=gradient_norm").body
    )
    curves = {(name, layer): (steps, values, lost) for name, layer, steps, values, _, _, lost in answer["curves"]}
    steps, values, lost = curves["loss", ""]
    assert steps == list(range(100)) and values[0] == 2.3 and values[40] is None and lost == 40
    assert curves["gradient_norm", HOSTILE][:2] == (list(range(0, 100, 10)), [0.25] * 10)
    assert answer["epochs"] == [[1, 99, {"validation_loss": 0.5, "validation_accuracy": None}]]
    assert answer["notices"] == [[60, "OPT001", "learning-rate-too-high", "severe", f"The loss {HOSTILE} rose."]]
    assert answer["settings"] == {"rate": "0.1", "note": HOSTILE} and answer["per_layer"] == ["gradient_norm"]


def test_groups_of_settings_are_spread_out(folder: Path) -> None:
    settings = {"watch": {"lr": 0.1, HOSTILE: 2}, "tags": [1, 2], "nothing": {}}
    with RecordWriter.create(folder, "grouped", settings=settings) as writer:
        feed(writer, range(3))
    answer = json.loads(ask(application(folder, PORT, TOKEN), f"/api/run/{key_of(folder, 'grouped')}").body)
    assert answer["settings"] == {"watch.lr": "0.1", f"watch.{HOSTILE}": "2", "tags": "[1, 2]", "nothing": "{}"}


def test_what_is_logged_late_at_the_last_step_is_told_too(writer: RecordWriter) -> None:
    with open_record(writer.path) as record:
        known = shown_of(record)["known"]
        assert known == Known(49, 0, 0)
        writer.log(49, {"validation_loss": 0.7})
        writer.flush()
        news = shown_of(record, known=known)
    assert ["validation_loss", "", [49], [0.7], None, None, None] in news["curves"] and not news["anew"]


def _series(values: np.ndarray[Any, np.dtype[np.float64]]) -> Series:
    steps = np.arange(len(values), dtype=np.int64)
    bad = (~np.isfinite(values)).astype(np.float64)
    return Series("loss", "", steps, values, steps, np.ones_like(steps), values, values, values, values, bad)


def test_a_long_curve_is_thinned_evenly_and_no_peak_is_lost() -> None:
    values = np.zeros(100_000)
    values[77_777], values[5_000], values[60_000:60_100] = 9.0, -3.0, np.nan
    steps, means, low, high = thinned(_series(values), 1000)
    assert len(steps) == len(means) == 1000 and low is not None and high is not None
    assert max(value for value in high if value is not None) == 9.0
    assert min(value for value in low if value is not None) == -3.0
    assert means[777] == pytest.approx(9.0 / 100) and means[600] is None
    assert max(np.diff(steps)) <= 101


def test_a_short_curve_is_sent_as_it_is() -> None:
    assert thinned(_series(np.array([1.0, np.inf, 3.0]))) == ([0, 1, 2], [1.0, None, 3.0], None, None)


async def _next(stream: AsyncIterator[bytes], kind: str) -> dict[str, Any]:
    async for event in stream:
        head, _, data = event.decode().partition("\ndata: ")
        if head == f"event: {kind}":
            found: dict[str, Any] = json.loads(data)
            return found
    raise AssertionError("the stream ended")


def test_what_is_written_is_seen_within_a_second(folder: Path, writer: RecordWriter) -> None:
    key = key_of(folder, HOSTILE)

    async def watch() -> list[float]:
        stream = events(Library(folder), (key,), "")
        assert (await _next(stream, "run"))["last_step"] == 49
        delays = []
        for start in range(50, 100, 10):
            feed(writer, range(start, start + 10))
            writer.flush()
            began = time.monotonic()
            news = await asyncio.wait_for(_next(stream, "run"), 5)
            delays.append(time.monotonic() - began)
            (loss,) = [curve for curve in news["curves"] if curve[0] == "loss"]
            assert loss[2] == list(range(start - 1, start + 10))
        return delays

    assert max(asyncio.run(watch())) < 1.0


def test_a_new_run_is_told_and_one_that_went_too(folder: Path) -> None:
    async def watch() -> None:
        stream = events(Library(folder), (), "")
        assert (await _next(stream, "list"))["anew"]
        with RecordWriter.create(folder, "new") as writing:
            news = await asyncio.wait_for(_next(stream, "list"), 5)
            assert [item["name"] for item in news["items"]] == ["new"] and not news["gone"]
        os.unlink(writing.path)
        while not news["gone"]:
            news = await asyncio.wait_for(_next(stream, "list"), 5)

    asyncio.run(watch())


def test_a_report_opens_as_a_page_that_can_reach_nothing(folder: Path) -> None:
    (folder / "page.html").write_text("<title>x · unstuck</title><script>fetch('/api/list')</script>")
    app = application(folder, PORT, TOKEN)
    for name, content in (("report.json", b"learning rate"), ("page.html", b"fetch(")):
        answer = ask(app, f"/report/{key_of(folder, name)}")
        assert answer.status == 200 and content in answer.body
        assert answer.headers["content-security-policy"] == SEALED
        assert "connect-src" not in SEALED and "allow-same-origin" not in SEALED and "default-src 'none'" in SEALED


def test_a_damaged_or_huge_report_is_refused_in_a_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "bad.json").write_text('{"sentence":"half","branch')
    answer = ask(application(folder, PORT, TOKEN), f"/report/{key_of(folder, 'bad.json')}")
    assert answer.status == 422 and b"A report must be a JSON file" in answer.body
    monkeypatch.setattr("unstuck.serving.app.LARGEST_REPORT", 1)
    with pytest.raises(ValueError, match="A report must be of at most 0 MiB"):
        report_page(folder / "report.json")


def test_a_folder_of_many_files_costs_one_look_at_each(tmp_path: Path) -> None:
    with RecordWriter.create(tmp_path, "one") as writing:
        feed(writing, range(50))
    for number in range(300):
        shutil.copy(writing.path, tmp_path / f"{number}.unstuck")
    library = Library(tmp_path)
    library.items()
    library._listed = -float("inf")
    began = time.perf_counter()
    assert len(library.items()) == 301
    assert time.perf_counter() - began < 0.2


def test_of_many_new_files_the_newest_are_read_first_and_the_others_by_and_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RecordWriter.create(tmp_path, "one") as writing:
        feed(writing, range(50))
    for number in range(9):
        shutil.copy(writing.path, tmp_path / f"{number}.unstuck")
        os.utime(tmp_path / f"{number}.unstuck", (1000 + number, 1000 + number))
    samples.sick().save(tmp_path / "old.json")
    os.utime(tmp_path / "old.json", (500, 500))
    monkeypatch.setattr(library_module, "READ_AT_LEAST", 4)
    monkeypatch.setattr(library_module, "READ_SECONDS", -1.0)
    now = [0.0]
    library = Library(tmp_path, clock=lambda: now[0])
    unread = {item.shown for item in library.items().values() if not item.is_read}
    assert unread == {f"{number}.unstuck" for number in range(6)}
    oldest = next(item for item in library.items().values() if item.shown == "0.unstuck")
    assert told(oldest)["status"] == "not read yet" and "name" not in told(oldest)
    versions = [library.version]
    for seconds in (1.0, 2.0):
        now[0] = seconds
        items = library.items()
        versions.append(library.version)
    assert all(item.is_read for item in items.values()) and len(items) == 11
    assert {item.kind for item in items.values() if item.shown == "old.json"} == {"report"}
    assert versions == sorted(set(versions))


def test_a_run_that_has_not_been_read_yet_can_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RecordWriter.create(tmp_path, "one") as writing:
        feed(writing, range(50))
    monkeypatch.setattr(library_module, "READ_AT_LEAST", 0)
    monkeypatch.setattr(library_module, "READ_SECONDS", -1.0)
    app = application(tmp_path, PORT, TOKEN)
    (item,) = json.loads(ask(app, "/api/list").body)["items"]
    assert item["status"] == "not read yet"
    assert json.loads(ask(app, f"/api/run/{item['key']}").body)["last_step"] == 49


def test_the_page_and_its_script_speak_the_language_of_the_reader(folder: Path) -> None:
    with use("zh"):
        page = ask(application(folder, PORT, TOKEN), "/").body.decode()
    found = re.search(r'<script type="application/json" id="words">(.*?)</script>', page)
    assert found and 'aria-label="运行与报告"' in page and ">筛选 <" in page
    words = json.loads(found[1])
    assert {"Runs ({0})", "Show more ({0} left)", "finished", "not read yet"} <= set(words)
    assert [english for english, said in words.items() if english == said] == []


def test_folders_are_looked_into_to_a_depth(tmp_path: Path) -> None:
    deep = tmp_path
    for number in range(library_module.DEEPEST + 1):
        samples.healthy().save(deep / "r.json")
        deep = deep / f"f{number}"
        deep.mkdir()
    samples.healthy().save(deep / "r.json")
    assert len(Library(tmp_path).items()) == library_module.DEEPEST + 1
