"""The record of a run: what is written comes back, whatever happens to the process or the disk."""

from __future__ import annotations

import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unstuck.errors import RecordError
from unstuck.recording import LayerEntry, Notice, RecordWriter, is_record, open_record, records_in, schema
from unstuck.recording.blocks import coarsened, joined, merged, of_rows, pack, unpack


def buckets(values: Any) -> Any:
    return of_rows(np.arange(len(values)), np.asarray(values, float).reshape(len(values), -1))


def test_merging_keeps_first_last_extremes_and_mean() -> None:
    values = np.random.default_rng(0).normal(size=(100, 3))
    values[17, 1], values[42, 2] = math.nan, math.inf
    keys = np.arange(100) // 8
    found = merged(buckets(values), keys)
    assert len(found) == 13 and found.counts.tolist() == [8] * 12 + [4]
    for row, key in enumerate(sorted(set(keys.tolist()))):
        part = values[keys == key]
        finite = np.where(np.isfinite(part), part, np.nan)
        assert np.array_equal(found.first[row], part[0], equal_nan=True)
        assert np.array_equal(found.last[row], part[-1], equal_nan=True)
        assert np.allclose(found.mean[row], np.nanmean(finite, axis=0))
        assert np.allclose(found.low[row], np.nanmin(part, axis=0))
        assert np.array_equal(found.high[row], np.nanmax(part, axis=0))
        assert np.array_equal(found.bad[row], (~np.isfinite(part)).sum(0))


def test_merging_in_stages_is_merging_at_once() -> None:
    values = np.random.default_rng(1).normal(size=(999, 2))
    once = merged(buckets(values), np.arange(999) // 64)
    twice = joined([part for _, part in coarsened(0, [buckets(values)], 8)])
    twice = joined([part for _, part in coarsened(0, [twice.rows(slice(0, 50)), twice.rows(slice(50, None))], 64)])
    assert twice.counts.tolist() == once.counts.tolist()
    assert np.allclose(twice.mean, once.mean) and np.array_equal(twice.high, once.high)
    back = unpack(pack(twice), len(twice), 64)
    assert np.array_equal(back.mean, twice.mean) and np.array_equal(back.last_steps, twice.last_steps)


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    layers = [LayerEntry("0", "Linear", 20, 0), LayerEntry("2", "Linear", 6, 1)]
    with RecordWriter.create(tmp_path, "my run!", settings={"seed": 3}, layers=layers) as writer:
        for step, loss in enumerate([2.0, math.nan, math.inf]):
            writer.log(step, {"loss": loss, "rate": 0.1})
        writer.add((("gradient_norm", "0"), ("gradient_norm", "2")), 2, [0.5, 0.25])
        writer.epoch(1, 3, {"validation_loss": math.nan, "accuracy": 0.5})
        writer.notice(Notice(2, 1.0, "OPT001", "learning-rate-too-high", "severe", "It rose.", ({"a": 1},)))
    assert [path.name for path in tmp_path.iterdir()] == [writer.path.name]
    assert writer.path.suffix == ".unstuck" and "my-run" in writer.path.name and is_record(writer.path)
    with open_record(writer.path) as record:
        loss = record.series("loss")
        assert loss.steps.tolist() == [0, 1, 2] and repr(loss.first.tolist()) == "[2.0, nan, inf]"
        assert loss.bad.tolist() == [0, 1, 1]
        assert record.series("gradient_norm", "2").values.tolist() == [0.25]
        assert len(record.series("no such thing")) == 0
        assert record.layers() == tuple(layers)
        assert set(record.names()) == {
            ("loss", ""), ("rate", ""), ("gradient_norm", "0"), ("gradient_norm", "2")
        }  # fmt: skip
        (epoch,) = record.epochs()
        assert epoch.step == 3 and math.isnan(epoch.measured["validation_loss"])
        assert record.notices() == (
            Notice(2, 1.0, "OPT001", "learning-rate-too-high", "severe", "It rose.", ({"a": 1},)),
        )
        assert record.notices(since=1) == ()
        info = record.info()
    assert (info.name, info.status, info.last_step, info.settings) == ("my run!", "finished", 2, {"seed": 3})
    assert not {os.uname().nodename, os.environ.get("USER", "?")} & set(map(str, info.facts.values()))


def test_a_spike_in_a_long_run_is_not_thinned_away(tmp_path: Path) -> None:
    with RecordWriter.create(tmp_path) as writer:
        for step in range(60_000):
            writer.log(step, {"loss": 1000.0 if step == 20_001 else 1.0 + step % 2})
    with open_record(writer.path) as record:
        loss = record.series("loss")
    assert len(loss) < 10_000 and loss.counts.sum() == 60_000
    assert (loss.steps[1:] == loss.last_steps[:-1] + 1).all()  # no step is missing, none is there twice
    assert (loss.counts[:64] == 1).all() and (loss.counts[-500:] == 1).all()
    (row,) = np.flatnonzero(loss.high == 1000.0)
    assert loss.steps[row] <= 20_001 <= loss.last_steps[row] and loss.low[row] == 1.0
    assert float((loss.values * loss.counts).sum()) == pytest.approx(60_000 * 1.5 + 998, rel=1e-9)


@pytest.mark.slow
def test_a_million_steps_take_less_than_50_mb(tmp_path: Path) -> None:
    columns = tuple((name, f"layer.{number}") for number in range(60) for name in ("a", "b", "c", "d", "e", "f", "g"))
    row = np.random.default_rng(0).normal(size=len(columns)).tolist()
    largest = 0
    with RecordWriter.create(tmp_path) as writer:
        for step in range(1_000_000):
            writer.log(step, {"loss": math.cos(step), "rate": 0.1, "gradient_norm": 1.0})
            if step % 10 == 0:
                writer.add(columns, step, row)
            if step % 50_000 == 0:
                largest = max(largest, sum(path.stat().st_size for path in tmp_path.iterdir()))
    assert max(largest, writer.path.stat().st_size) < 50e6
    with open_record(writer.path) as record:
        assert record.series("loss").counts.sum() == 1_000_000
        assert record.series("c", "layer.7").counts.sum() == 100_000


def test_it_is_read_while_it_is_written(tmp_path: Path) -> None:
    writer = RecordWriter.create(tmp_path)
    assert is_record(writer.path), "a running record is one before its first checkpoint"
    with open_record(writer.path) as record:
        writer.log(0, {"loss": 1.0})
        writer.flush()
        before = record.version()
        assert len(record.series("loss")) == 1 and record.info().status == "running"
        for step in range(1, 10):
            writer.log(step, {"loss": 1.0})
        writer.flush()
        assert record.version() != before
        assert record.series("loss", since=4).steps.tolist() == [5, 6, 7, 8, 9]
        writer.close()
        assert record.info().status == "finished"


def test_silence_counts_as_a_crash_by_the_runs_own_pauses(tmp_path: Path) -> None:
    writer = RecordWriter.create(tmp_path)
    with open_record(writer.path) as record:
        now = time.time()
        assert record.info(now + 30).status == "running"
        silent = record.info(now + 90)
        assert silent.status == "crashed" and "no sign of life" in silent.error
        writer.set(validating=True)
        writer._longest_pause = 20.0
        writer.flush()
        assert record.info(now + 90).status == "running"
    writer.close()


def test_an_exception_is_noted(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), RecordWriter.create(tmp_path) as writer:
        raise ZeroDivisionError("by zero")
    with open_record(writer.path) as record:
        assert (record.info().status, record.info().error) == ("crashed", "ZeroDivisionError: by zero")


def test_resuming_takes_out_what_will_come_again(tmp_path: Path) -> None:
    def write(writer: RecordWriter, steps: range, value: float) -> None:
        for step in steps:
            writer.log(step, {"loss": value})
            if step % 700 == 0:
                writer.flush()

    with RecordWriter.create(tmp_path) as writer:
        write(writer, range(5000), 1.0)
    with RecordWriter.resume(writer.path, step=4321) as again:
        assert again.last_step == 4320
        write(again, range(4321, 9000), 2.0)
    with open_record(writer.path) as record:
        loss = record.series("loss")
        assert record.info().status == "finished"
    assert loss.counts.sum() == 9000 and (loss.steps[1:] == loss.last_steps[:-1] + 1).all()
    assert float((loss.values * loss.counts).sum()) == pytest.approx(4321 + 2 * (9000 - 4321))
    with pytest.raises(RecordError, match="no such file"):
        RecordWriter.resume(tmp_path / "none.unstuck")


CHILD = """
import sys
from unstuck.recording import RecordWriter
writer = RecordWriter.create(sys.argv[1], "killed")
print("begun", flush=True)
columns = tuple((name, str(number)) for number in range(20) for name in "abc")
step = 0
while True:
    writer.log(step, {"loss": float(step)})
    if step % 5 == 0:
        writer.add(columns, step, [float(step)] * 60)
    if step % 40 == 0:
        writer.flush()
        print(step, flush=True)
    step += 1
"""


def killed_at(folder: Path, seconds: float) -> tuple[int, Path]:
    """Start a writer, kill it after some seconds; the last step that it said was flushed, and its file."""
    with subprocess.Popen([sys.executable, "-c", CHILD, str(folder)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        time.sleep(seconds)
        child.send_signal(signal.SIGKILL)
        said = child.stdout.read().splitlines(keepends=True)
    (path,) = folder.glob("*.unstuck")
    return max((int(line) for line in said if line.endswith("\n")), default=-1), path


def check_survivor(flushed: int, path: Path) -> None:
    with open_record(path) as record:
        loss, other = record.series("loss"), record.series("b", "7")
        assert record._rows("PRAGMA integrity_check") == [("ok",)]
        assert record.info(time.time() + 1000).status == "crashed"
    assert loss.counts.sum() >= flushed + 1, "what was flushed must be there"
    assert (loss.steps[1:] == loss.last_steps[:-1] + 1).all() and loss.values[-1] == loss.steps[-1]
    assert other.counts.sum() == (loss.last_steps[-1] // 5 + 1 if len(loss) else 0)
    with RecordWriter.resume(path) as writer:
        writer.log(writer.last_step + 1, {"loss": 0.0})


@pytest.mark.parametrize("number", range(2))
def test_a_killed_process_loses_nothing_that_was_flushed(number: int, tmp_path: Path) -> None:
    for moment in range(5):
        folder = tmp_path / str(moment)
        check_survivor(*killed_at(folder, random.Random(10 * number + moment).uniform(0.0, 0.15)))


@pytest.mark.slow
def test_200_killed_processes_lose_nothing_that_was_flushed(tmp_path: Path) -> None:
    draws = random.Random(0)
    for number in range(200):
        check_survivor(*killed_at(tmp_path / str(number), draws.uniform(0.0, 0.4)))


class Full:
    """A connection to a disk that is full for a while."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection, self.full = connection, True

    def execute(self, statement: str, values: tuple[Any, ...] = ()) -> Any:
        if self.full and statement.startswith("INSERT INTO block"):
            raise sqlite3.OperationalError("database or disk is full")
        return self.connection.execute(statement, values)

    def close(self) -> None:
        self.connection.close()


def test_a_full_disk_is_said_once_and_what_waits_is_written_later(tmp_path: Path) -> None:
    writer = RecordWriter.create(tmp_path)
    disk = Full(writer._connection)
    writer._connection = disk  # type: ignore[assignment]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for step in range(5000):
            writer.log(step, {"loss": 1.0})
    assert [str(each.message) for each in caught] == [
        f"unstuck: the record {writer.path} cannot be written at present (database or disk is full); the run goes on"
    ]
    disk.full = False
    writer.close()
    with open_record(writer.path) as record:
        assert record.series("loss").counts.sum() == 5000 and record.info().status == "finished"


def test_a_disk_that_stays_full_costs_no_memory_without_bounds(tmp_path: Path) -> None:
    writer = RecordWriter.create(tmp_path)
    writer._connection = Full(writer._connection)  # type: ignore[assignment]
    with pytest.warns(RuntimeWarning, match="disk is full"):
        writer.flush()
        for step in range(120_000):
            writer.log(step, {"loss": 1.0})
    (frame,) = writer._frames.values()
    assert len(frame.steps) * 16 <= 1 << 20 and frame.dropped > 50_000
    writer.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_refused_as_the_user(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RecordError, match="folder that can be written to"):
        RecordWriter.create(tmp_path)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="must be in a folder that can be written to"):
        RecordWriter.create(tmp_path / "file")
    with pytest.raises(RecordError, match="must exist"):
        records_in(tmp_path / "none")


def test_a_finished_record_is_read_where_nothing_can_be_written(tmp_path: Path) -> None:
    with RecordWriter.create(tmp_path) as writer:
        writer.log(0, {"loss": 1.0})
    writer.path.chmod(0o400)
    tmp_path.chmod(0o500)
    try:
        with open_record(writer.path) as record:
            assert record.series("loss").values.tolist() == [1.0]
    finally:
        tmp_path.chmod(0o700)


def test_damaged_and_foreign_files_are_refused_in_a_sentence(tmp_path: Path) -> None:
    with RecordWriter.create(tmp_path / "good") as writer:
        for step in range(3000):
            writer.log(step, {"loss": 1.0, "rate": 0.5})
    data = bytearray(writer.path.read_bytes())
    data[4096:] = os.urandom(len(data) - 4096)
    (tmp_path / "damaged.unstuck").write_bytes(data)
    (tmp_path / "cut.unstuck").write_bytes(writer.path.read_bytes()[:5000])
    (tmp_path / "text.unstuck").write_text("no database")
    sqlite3.connect(tmp_path / "other.unstuck").execute("CREATE TABLE t (a)").connection.commit()
    for name in ("damaged", "cut", "text", "other"):
        with pytest.raises(RecordError, match="record must be"), open_record(tmp_path / f"{name}.unstuck") as record:
            record.info()
            record.series("loss")
    infos, broken = records_in(tmp_path)
    assert [info.path for info in infos] == [writer.path] and len(broken) == 4


def test_an_older_layout_is_migrated_and_a_newer_one_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RecordWriter.create(tmp_path) as writer:
        writer.log(0, {"loss": 1.0})
    more = (*schema.MIGRATIONS, "ALTER TABLE layer ADD COLUMN note TEXT")
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", more)
        patch.setattr(schema, "VERSION", len(more))
        patch.setattr("unstuck.recording.reader.VERSION", len(more))
        with open_record(writer.path) as record:  # on a copy in memory: the file is not ours to change
            assert record._rows("SELECT note FROM layer") == [] and record.series("loss").values.tolist() == [1.0]
        RecordWriter.resume(writer.path).close()
    with pytest.raises(RecordError, match="Install a newer `unstuck`"):
        open_record(writer.path)


def test_two_processes_write_to_one_folder(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom unstuck.recording import RecordWriter\n"
        "with RecordWriter.create(sys.argv[1], 'same') as writer:\n"
        "    for step in range(2000): writer.log(step, {'loss': 1.0})"
    )
    children = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(2)]
    assert [child.wait() for child in children] == [0, 0]
    infos, broken = records_in(tmp_path)
    assert [info.status for info in infos] == ["finished"] * 2 and broken == ()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_writes_nothing(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom unstuck.recording import RecordWriter\n"
        "writer = RecordWriter.create(sys.argv[1])\nwriter.log(0, {'loss': 1.0})\n"
        "child = os.fork()\n"
        "writer.log(1, {'loss': 2.0 if child else 3.0})\nwriter.flush()\n"
        "if child: assert os.waitpid(child, 0)[1] == 0\n"
        "writer.close()\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    (path,) = tmp_path.glob("*.unstuck")
    with open_record(path) as record:
        assert record.series("loss").values.tolist() == [1.0, 2.0]
        assert record.info().status == "finished"
