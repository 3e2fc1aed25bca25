"""What curves are accused of, and what not: on curves of set-ups that were really trained, logged in several ways."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from examples import digits_mlp, wine
from unstuck import Setup, fit, patients, replay
from unstuck.curves import judge_run
from unstuck.logs import LoggedRun, Meaning, compare, read
from unstuck.loop import RunRecord
from unstuck.render.machine import from_json, to_json
from unstuck.report import Report, Status
from unstuck.rules.learning_rate_too_high import raise_rate
from unstuck.rules.learning_rate_too_low import lower_rate
from unstuck.rules.overfitting import learn_by_heart
from unstuck.rules.schedule import decay_early
from unstuck.rules.stopped_too_early import stop_early


def logged(folder: Path, setup: Setup, every: int = 1) -> LoggedRun:
    """Train, log as people do, read back; every 0 logs means of epochs, as Keras does."""
    return written(folder, fit(setup, steps=3000).record, every)


def written(folder: Path, record: RunRecord, every: int) -> LoggedRun:
    """Log a run that was trained."""
    rows = ["step,loss,lr,val_loss"] if every else ["epoch,loss,lr,val_loss"]
    held_out = dict(zip(record.epoch_ends, record.validation_losses, strict=False))
    if every:
        for step in range(0, len(record.losses), every):
            mean = float(np.mean(record.losses[step : step + every]))
            end = next((held_out[at] for at in range(step + 1, step + every + 1) if at in held_out), "")
            rows.append(f"{step},{mean},{record.rates[step]},{end}")
    else:
        for epoch, mean in enumerate(record.epoch_losses()):
            end = record.validation_losses[epoch] if epoch < len(record.validation_losses) else ""
            rows.append(f"{epoch},{mean},{record.rates[min(len(record.rates), record.epoch_ends[epoch]) - 1]},{end}")
    path = folder / f"log{every}.csv"
    path.write_text("\n".join(rows) + "\n")
    return read([path])[0]


def codes(report: Report) -> list[str]:
    return [finding.rule.code for finding in report.findings]


def test_a_run_that_was_ended_is_not_blamed_for_its_end(tmp_path: Path) -> None:
    """`unstuck run --steps 100` ends the script: that the loss still fell is nobody's fault."""
    run = written(tmp_path, fit(stop_early(digits_mlp.setup())).record, 1)
    assert "OPT017" in codes(judge_run(run))
    report = judge_run(replace(run, cut=True))
    assert not {"OPT017", "OPT002"} & set(codes(report))
    assert any(each.subject.startswith("OPT017") and "own end" in each.reason for each in report.unchecked)
    assert not {"OPT017", "OPT002"} & set(codes(replay(from_json(to_json(report)))))


HEALTHY: dict[str, Callable[[], Setup]] = {
    "adam": patients.shells,
    "momentum": lambda: patients.shells(optimizer=patients.sgd(0.1, 0.9)),
    "noisy targets": lambda: patients.regression(noise=0.7, epochs=20),
    "wrong labels": lambda: patients.shells(wrong=0.3, epochs=10),
    "regression": lambda: patients.regression(epochs=30),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_curves_are_accused_of_nothing(tmp_path: Path, name: str) -> None:
    record = fit(HEALTHY[name](), steps=1500).record
    for every in (1, 10, 0):
        report = judge_run(written(tmp_path, record, every))
        assert codes(report) == [], (every, report.sentence)


SICK: dict[str, tuple[Callable[[], Setup], str]] = {
    "a rate far too high": (lambda: raise_rate(patients.shells()), "OPT001"),
    "a rate far too low": (lambda: lower_rate(wine.setup()), "OPT002"),
    "one epoch": (lambda: stop_early(digits_mlp.setup()), "OPT017"),
    "learnt by heart": (lambda: learn_by_heart(patients.shells()), "GEN001"),
    "a decay too early": (lambda: decay_early(patients.shells()), "OPT016"),
}


@pytest.mark.parametrize("name", SICK)
def test_sick_curves_are_accused_of_their_fault(tmp_path: Path, name: str) -> None:
    setup, code = SICK[name]
    report = judge_run(logged(tmp_path, setup()))
    assert codes(report)[:1] == [code], (codes(report), report.sentence)
    assert all(finding.status is Status.SUSPECTED for finding in report.findings)
    assert "`unstuck diagnose`" in report.findings[0].remedy and "not proven" in report.sentence


def made(folder: Path, losses: list[float], columns: str = "step,loss") -> LoggedRun:
    path = folder / "made.csv"
    path.write_text(columns + "\n" + "\n".join(f"{step},{value}" for step, value in enumerate(losses)) + "\n")
    return read([path])[0]


def falling(count: int) -> list[float]:
    generator = np.random.default_rng(0)
    return [2.3 * math.exp(-step / 30) + 0.01 * float(generator.standard_normal()) + 0.1 for step in range(count)]


def test_the_first_step_of_nan_is_told(tmp_path: Path) -> None:
    report = judge_run(made(tmp_path, [*falling(90), *[math.nan] * 20]))
    assert codes(report) == ["OPT020", "OPT001"] and "step 90 " in report.sentence
    grown = judge_run(made(tmp_path, [*falling(90), 0.5, 2.0, 9.0, 80.0, 1e3, 1e6, math.inf, math.nan]))
    assert codes(grown) == ["OPT001"] and "step 96 " in grown.sentence


def test_a_nan_that_passes_is_no_end(tmp_path: Path) -> None:
    losses = falling(200)
    losses[50] = math.nan
    assert codes(judge_run(made(tmp_path, losses))) == []


def test_guessing_needs_the_number_of_classes(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    fallen = [8 * math.exp(-step) + math.log(10) + 0.01 * float(generator.standard_normal()) for step in range(200)]
    run = made(tmp_path, fallen)
    assert codes(judge_run(run)) == []
    assert codes(judge_run(run, classes=10)) == ["SET018"]


def test_a_rate_of_zero(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("step,loss,lr\n" + "".join(f"{step},{2.3 + 0.001 * (step % 3)},0.0\n" for step in range(50)))
    assert codes(judge_run(read([path])[0])) == ["OPT016"]


def test_gradient_norms_that_spike(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    rows = [f"{step},{loss},{500 if step == 60 else 1.0}" for step, loss in enumerate(falling(200))]
    path.write_text("step,loss,grad_norm\n" + "\n".join(rows))
    assert codes(judge_run(read([path])[0])) == ["OPT007"]


@pytest.mark.parametrize("losses", [[1.0], [1.0, 0.5], [math.nan] * 5, [0.0] * 50, [-3.0] * 50, [1e308] * 20])
def test_what_is_too_little_or_odd_is_survived(tmp_path: Path, losses: list[float]) -> None:
    report = judge_run(made(tmp_path, losses))
    assert str(report) and len(report.findings) + len(report.ruled_out) + len(report.unchecked) >= 58


def test_a_report_survives_json_and_is_judged_again(tmp_path: Path) -> None:
    report = judge_run(made(tmp_path, [*falling(90), *[math.nan] * 20]))
    again = replay(from_json(to_json(report)))
    assert codes(again) == codes(report) and again.sentence == report.sentence
    assert [missing.subject for missing in again.unchecked] == [missing.subject for missing in report.unchecked]


def test_runs_are_compared_beyond_noise(tmp_path: Path) -> None:
    for name, floor in (("low", 0.1), ("high", 0.3), ("same", 0.1)):
        folder = tmp_path / name
        folder.mkdir()
        generator = np.random.default_rng(len(name))
        rows = [f"{s},{2 * math.exp(-s / 9) + floor + 0.004 * generator.standard_normal()}" for s in range(60)]
        (folder / "metrics.csv").write_text("step,val_loss\n" + "\n".join(rows))
        (folder / "hparams.yaml").write_text(f"seed: 1\nfloor: {floor}\n")
    runs = {run.name: run for run in read([tmp_path])}
    told = compare([runs["high"], runs["low"]])
    assert [row.name for row in told.rows] == ["low", "high"] and "more than the noise" in told.sentence
    assert told.differences == {"floor": ("0.1", "0.3")}
    assert "no more than the noise" in compare([runs["low"], runs["same"]]).sentence
    assert runs["low"].meanings[Meaning.VALIDATION_LOSS] == "val_loss"
