"""`unstuck list` and `unstuck replay` of a record."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from unstuck.cli import main
from unstuck.recorded import judge_record
from unstuck.recorded_run import run_of
from unstuck.recording import LayerEntry, RecordWriter, open_record

COLUMNS = tuple(
    (name, layer)
    for layer in ("0", "2", "4")
    for name in ("gradient_norm", "weight_norm", "update_norm", "stale_share")
)


def recorded(folder: Path, name: str, losses: list[float], *, update: float = 1e-3, stale: float = 0.0) -> Path:
    """A run with three layers, looked at every tenth step."""
    layers = [LayerEntry(each, "Linear", 10, depth) for depth, each in enumerate(("0", "2", "4"))]
    with RecordWriter.create(folder, name, layers=layers) as writer:
        for step, loss in enumerate(losses):
            writer.log(step, {"loss": loss, "rate": 0.1})
            if step % 10 == 0:
                writer.add(COLUMNS, step, [1.0, 1.0, update, stale if step else 0.0] * 3)
                writer.log(step, {"gradient_norm": 1.0})
    return writer.path


def falling(steps: int) -> list[float]:
    return [math.exp(-step / 60) + 0.1 + 0.01 * math.sin(7 * step) for step in range(steps)]


def codes(path: Path) -> list[str]:
    with open_record(path) as record:
        return [finding.rule.code for finding in judge_record(record).findings]


def test_a_run_that_trains_is_not_accused(tmp_path: Path) -> None:
    path = recorded(tmp_path, "well", falling(400), update=0.02)
    with open_record(path) as record:
        report = judge_record(record)
    assert report.findings == () and "show nothing wrong" in report.sentence
    assert {finding.rule.code for finding in report.ruled_out} >= {"SET006", "OPT006", "OPT007"}
    needs = [each for each in report.unchecked if "needs a set-up that can be run" in each.reason]
    assert len(needs) > 40


def test_a_run_that_diverges_is(tmp_path: Path) -> None:
    losses = [2.0 + 0.05 * step + math.sin(step) for step in range(300)]
    assert codes(recorded(tmp_path, "high", losses, update=0.2))[:1] == ["OPT001"]
    assert codes(recorded(tmp_path, "broken", [2.0] * 50 + [math.nan] * 150, update=0.2))[:1] == ["OPT001"]


def test_gradients_that_are_not_cleared_are_told_even_where_it_trains(tmp_path: Path) -> None:
    assert codes(recorded(tmp_path, "stale", falling(400), stale=0.6)) == ["SET006"]


def validated(folder: Path, name: str, validation: list[float], losses: list[float]) -> Path:
    """A run of epochs of 20 steps, each with a validation loss."""
    with RecordWriter.create(folder, name) as writer:
        for step, loss in enumerate(losses):
            writer.log(step, {"loss": loss, "rate": 0.1})
        for number, loss in enumerate(validation, 1):
            writer.epoch(number, 20 * number, {"validation_loss": loss})
    return writer.path


def test_a_validation_loss_that_turns_is_suspected_of_overfitting(tmp_path: Path) -> None:
    course = [math.exp(-epoch / 3) + 0.02 * (-1) ** epoch for epoch in range(20)]
    turned = [loss + 0.04 * max(0, epoch - 8) for epoch, loss in enumerate(course)]
    path = validated(tmp_path, "turned", turned, falling(400))
    assert codes(path) == ["GEN002", "GEN001"]
    with open_record(path) as record:
        report = judge_record(record)
    assert "validation loss is lowest" in report.findings[0].verdict.sentence
    well = validated(tmp_path, "well", [loss + 0.3 for loss in course], falling(400))
    assert codes(well) == []
    with open_record(well) as record:
        (unchecked,) = [each for each in judge_record(record).unchecked if each.subject.startswith("GEN001")]
    assert "which does not rule it out" in unchecked.reason
    broken = [2.0] * 50 + [math.nan] * 350
    assert "GEN001" not in codes(validated(tmp_path, "broken", turned, broken))


def test_a_long_run_is_judged_by_means_over_even_stretches(tmp_path: Path) -> None:
    path = recorded(tmp_path, "long", falling(20_000))
    with open_record(path) as record:
        run = run_of(record)
    assert len(run.losses) == 4000 and run.losses[-1] == pytest.approx(0.1, abs=0.01)
    assert run.losses[0] == pytest.approx(sum(falling(5)) / 5, abs=0.01)


def test_replay_of_a_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = recorded(tmp_path, "well", falling(400))
    assert main(["replay", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "show nothing wrong" in shown and "as recorded" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert main(["replay", str(recorded(tmp_path, "stale", falling(400), stale=0.6)), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["findings"][0]["rule"]["code"] == "SET006"
    path.write_bytes(path.read_bytes()[:5000])
    assert main(["replay", str(path)]) == 2
    assert "not damaged" in capsys.readouterr().err


def test_the_list_of_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = recorded(tmp_path / "deep", "first run", falling(400))
    recorded(tmp_path, "second", [2.0, math.nan])
    (tmp_path / "bad.unstuck").write_text("nothing")
    assert main(["list", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert path.name in shown.out and "finished, 400 steps in" in shown.out and "loss unknown" in shown.out
    assert "bad.unstuck" in shown.err and max(map(len, shown.out.splitlines())) <= 80
    assert main(["list", str(tmp_path), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["name"], row["steps"], row["status"]) for row in rows] == [
        ("first run", 400, "finished"),
        ("second", 2, "finished"),
    ]
    assert rows[0]["loss"] == pytest.approx(0.1, abs=0.02) and rows[1]["loss"] is None
    assert main(["list", str(tmp_path / "none")]) == 2
    assert "must exist" in capsys.readouterr().err
