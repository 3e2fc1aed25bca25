"""`unstuck read` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unstuck.cli import main

DATA = Path(__file__).parent.parent / "logs" / "data"


def test_one_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["read", str(DATA / "run-tiny.wandb")]) == 0
    text = capsys.readouterr().out
    assert "training loss from 'train/loss' (200 values)" in text and "nothing was trained" in text
    assert max(map(len, text.splitlines())) <= 80


def test_several_runs_and_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["read", str(DATA), "--json", str(tmp_path / "runs.json")]) == 1
    text = capsys.readouterr().out
    assert "By validation loss, the lowest first" in text and max(map(len, text.splitlines())) <= 80
    written = json.loads((tmp_path / "runs.json").read_text())
    assert len(written["runs"]) == 3 and written["comparison"]["measure"] == "validation loss"


def test_a_column_is_chosen(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("step,a,b\n" + "".join(f"{step},{9 - step / 10},1\n" for step in range(60)))
    assert main(["read", str(path)]) == 2
    assert "`--map loss=COLUMN`" in capsys.readouterr().err
    assert main(["read", str(path), "--map", "loss=a"]) == 1
    assert "training loss from 'a'" in capsys.readouterr().out
    assert main(["read", str(path), "--map", "a"]) == 2
    assert "must be KEY=COLUMN" in capsys.readouterr().err


def test_the_report_on_one_run_is_saved_and_on_several_it_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    page, text = tmp_path / "r.html", tmp_path / "r.md"
    assert main(["read", str(DATA / "run-tiny.wandb"), "--save", str(page), "--save", str(text)]) == 0
    assert page.read_text().startswith("<!DOCTYPE html>") and text.read_text().startswith("###")
    assert main(["read", str(DATA), "--save", str(page)]) == 2
    assert "`--save` must be used with one run" in capfd.readouterr().err
