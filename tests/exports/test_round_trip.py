"""What is exported and read back is what was recorded."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from unstuck.cli import main
from unstuck.cli.export import TARGETS as TYPED
from unstuck.errors import LogError
from unstuck.exports import TARGETS, export
from unstuck.logs import LoggedRun, Meaning, read
from unstuck.recording import LayerEntry, RecordWriter

STEPS = 120


@pytest.fixture
def record(tmp_path: Path) -> Path:
    layers = [LayerEntry("0", "Linear", 640, 0)]
    settings = {"lr": 0.1, "name": "small"}
    with RecordWriter.create(tmp_path, "digits", settings=settings, versions={}, layers=layers) as writer:
        for step in range(STEPS):
            writer.log(step, {"loss": math.nan if step == 7 else 2.0 * math.exp(-step / 30), "rate": 0.1})
            if step % 10 == 0:
                writer.log(step, {"gradient_norm": 1.0 + step})
                writer.add((("gradient_norm", "0"),), step, [0.5])
            if step % 40 == 39:
                writer.epoch(step // 40, step=step, measured={"validation_loss": 3.0 - step / 100})
    (path,) = tmp_path.glob("*.unstuck")
    return path


def check(run: LoggedRun, reference: LoggedRun, tolerance: float = 0.0) -> None:
    meanings = {Meaning.TRAINING_LOSS, Meaning.VALIDATION_LOSS, Meaning.RATE, Meaning.GRADIENT_NORM}
    assert meanings <= set(run.meanings)
    for meaning in meanings:
        got, expected = run.series(meaning), reference.series(meaning)
        assert got is not None and expected is not None
        np.testing.assert_array_equal(got.steps, expected.steps, err_msg=meaning.value)
        np.testing.assert_allclose(got.values, expected.values, rtol=tolerance, err_msg=meaning.value)


def test_a_record_itself(record: Path) -> None:
    (run,) = read([record])
    assert run.name == "digits" and run.settings == {"lr": "0.1", "name": "small"}
    losses = run.series(Meaning.TRAINING_LOSS)
    assert losses is not None and len(losses) == STEPS and math.isnan(losses.values[7])
    held_out = run.series(Meaning.VALIDATION_LOSS)
    assert held_out is not None and held_out.steps.tolist() == [39.0, 79.0, 119.0]


@pytest.mark.parametrize(
    ("to", "module", "place", "tolerance"),
    [
        ("csv", "csv", "out.csv", 0.0),
        ("parquet", "pyarrow", "out.parquet", 0.0),
        ("tensorboard", "tensorboard", "events", 1e-6),  # kept as float32
        ("wandb", "wandb", "runs", 1e-12),
        ("mlflow", "mlflow", "store", 1e-12),
    ],
)
@pytest.mark.filterwarnings("ignore")  # of these packages themselves
def test_what_is_exported_is_read_back(
    record: Path, tmp_path: Path, to: str, module: str, place: str, tolerance: float
) -> None:
    pytest.importorskip(module)
    target = tmp_path / "exported" / place
    target.parent.mkdir()
    assert main(["export", str(record), str(target), "--to", to]) == 0
    (run,) = read([target])
    (reference,) = read([record])
    check(run, reference, tolerance)
    if to != "csv":  # a CSV file has no place for settings
        assert run.settings == reference.settings
    assert "gradient_norm/0" in run.columns


def test_what_cannot_be_written_is_said(record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LogError, match="place that can be written"):
        export(record, "csv", tmp_path / "nowhere" / "out.csv")
    with pytest.raises(LogError, match="csv, parquet"):
        export(record, "excel", tmp_path / "out.xls")
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    with pytest.raises(LogError, match=r"pip install 'unstuck\[wandb\]'"):
        export(record, "wandb", tmp_path / "runs")


def test_the_command_line_knows_every_format_without_loading_any() -> None:
    assert set(TYPED) == set(TARGETS)
