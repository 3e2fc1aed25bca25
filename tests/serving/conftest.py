"""A folder with a finished run, one that is being written, a report, and what is none of the page's business."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra `serve` is not installed")

from tests.render import samples  # noqa: E402
from unstuck.recording import LayerEntry, Notice, RecordWriter  # noqa: E402

HOSTILE = "<img src=x onerror=alert(1)>"
SECRET = "nobody may read this"


def feed(writer: RecordWriter, steps: range) -> None:
    for step in steps:
        writer.log(step, {"loss": math.nan if step == 40 else 2.3 * math.exp(-step / 50), "rate": 0.1})
        if step % 10 == 0:
            writer.add((("gradient_norm", "0"), ("gradient_norm", HOSTILE)), step, [0.5, 0.25])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret.json").write_text(f'{{"sentence":"{SECRET}"}}')
    place = tmp_path / "runs"
    place.mkdir()
    layers = [LayerEntry("0", "Linear", 10, 0), LayerEntry(HOSTILE, "Linear", 10, 0)]
    with RecordWriter.create(place, "digits", settings={"rate": 0.1, "note": HOSTILE}, layers=layers) as writer:
        feed(writer, range(100))
        writer.epoch(1, step=99, measured={"validation_loss": 0.5, "validation_accuracy": math.inf})
        writer.notice(
            Notice(60, time.time(), "OPT001", "learning-rate-too-high", "severe", f"The loss {HOSTILE} rose.")
        )
    samples.sick().save(place / "report.json")
    (place / "package.json").write_text('{"name": "something else"}')
    (place / "link.json").symlink_to(tmp_path / "secret.json")
    (place / "up").symlink_to(tmp_path)
    return place


@pytest.fixture
def writer(folder: Path) -> Iterator[RecordWriter]:
    with RecordWriter.create(folder, HOSTILE, settings={"rate": 0.3}) as writing:
        feed(writing, range(50))
        writing.flush()
        yield writing
