"""Logs of other tools: written by these tools themselves, read back value by value; and whatever is broken."""

from __future__ import annotations

import json
import math
import sqlite3
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from unstuck.errors import LogError
from unstuck.logs import LoggedRun, Meaning, read
from unstuck.logs.columns import fitness

DATA = Path(__file__).parent / "data"
STEPS = range(0, 200, 2)


def loss(step: int) -> float:
    return 2.3 * math.exp(-step / 40)


def only(path: Path, **mapping: str) -> LoggedRun:
    (run,) = read([path], mapping)
    return run


def check(run: LoggedRun, meaning: Meaning, steps: list[float], values: list[float], tolerance: float = 0.0) -> None:
    series = run.series(meaning)
    assert series is not None
    np.testing.assert_array_equal(series.steps, steps)
    np.testing.assert_allclose(series.values, values, rtol=tolerance)


def test_tensorboard(tmp_path: Path) -> None:
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    with tensorboard.SummaryWriter(str(tmp_path / "run")) as writer:
        for step in STEPS:
            writer.add_scalar("Loss/train", loss(step), step)
            writer.add_scalar("lr", 0.1, step)
        writer.add_scalar("Loss/train", math.nan, 200)
        writer.add_scalar("Loss/valid", 0.5, 100)
        writer.add_histogram("weights", np.arange(10.0), 0)
        writer.add_text("note", "no number", 0)
    run = only(tmp_path)
    assert run.name == "run"
    check(run, Meaning.TRAINING_LOSS, [*STEPS, 200], [*map(loss, STEPS), math.nan], 1e-6)  # kept as float32
    check(run, Meaning.VALIDATION_LOSS, [100], [0.5])
    assert set(run.columns) == {"Loss/train", "Loss/valid", "lr"}


def test_tensorboard_settings_and_resumption(tmp_path: Path) -> None:
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    with tensorboard.SummaryWriter(str(tmp_path)) as writer:
        writer.add_hparams({"lr": 0.1, "net": "mlp", "bias": True}, {"hp": 1.0}, run_name=".")
        for step in range(10):
            writer.add_scalar("loss", step, step)
    with tensorboard.SummaryWriter(str(tmp_path), filename_suffix=".z") as writer:  # taken up again from step 6
        for step in range(6, 12):
            writer.add_scalar("loss", 100 + step, step)
    run = only(tmp_path)
    assert run.settings == {"lr": "0.1", "net": "mlp", "bias": "1"}  # kept as a number
    check(run, Meaning.TRAINING_LOSS, list(range(12)), [*range(6), *range(106, 112)])
    assert any("logged again from step 6" in note for note in run.notes)


def test_keras_folders_are_one_run(tmp_path: Path) -> None:
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    for split, offset in (("train", 0.0), ("validation", 0.5)):
        with tensorboard.SummaryWriter(str(tmp_path / "logs" / split)) as writer:
            for epoch in range(8):
                writer.add_scalar("epoch_loss", loss(epoch) + offset, epoch, new_style=True)  # a tensor, as TF writes
    run = only(tmp_path)
    check(run, Meaning.TRAINING_LOSS, list(range(8)), [loss(epoch) for epoch in range(8)], 1e-6)
    check(run, Meaning.VALIDATION_LOSS, list(range(8)), [loss(epoch) + 0.5 for epoch in range(8)], 1e-6)


def test_lightning_csv(tmp_path: Path) -> None:
    folder = tmp_path / "lightning_logs" / "version_0"
    folder.mkdir(parents=True)
    rows = ["epoch,step,train_loss_epoch,train_loss_step,val_loss"]
    for step in range(49, 500, 50):
        epoch = step // 100
        rows.append(f"{epoch},{step},,{loss(step)},")
        if step % 100 == 99:
            rows += [f"{epoch},{step},,,{loss(step) + 0.1}", f"{epoch},{step},{loss(step)},,"]
    (folder / "metrics.csv").write_text("\n".join(rows) + "\n")
    (folder / "hparams.yaml").write_text("lr: 0.01\nwidth: 64\n")
    run = only(tmp_path)
    assert (run.name, run.axis, run.settings) == ("lightning_logs/version_0", "step", {"lr": "0.01", "width": "64"})
    check(run, Meaning.TRAINING_LOSS, list(range(49, 500, 50)), [loss(step) for step in range(49, 500, 50)])
    check(run, Meaning.VALIDATION_LOSS, list(range(99, 500, 100)), [loss(step) + 0.1 for step in range(99, 500, 100)])
    assert run.epoch_ends == (99, 199, 299, 399, 499)


def test_keras_csv(tmp_path: Path) -> None:
    path = tmp_path / "training.log"
    rows = [f"{epoch},{0.5},{loss(epoch)},{'nan' if epoch == 3 else loss(epoch) + 1}" for epoch in range(6)]
    path.write_text("epoch,accuracy,loss,val_loss\n" + "\n".join(rows))
    run = only(path)
    assert run.axis == "epoch"
    check(run, Meaning.VALIDATION_LOSS, list(range(6)), [math.nan if e == 3 else loss(e) + 1 for e in range(6)])
    assert run.meanings[Meaning.TRAINING_METRIC] == "accuracy"


def test_hugging_face_takes_the_last_checkpoint(tmp_path: Path) -> None:
    for last in (50, 100):
        history: list[dict[str, float]] = []
        for step in range(10, last + 1, 10):
            entry = {"loss": loss(step), "grad_norm": 1.0, "learning_rate": 1e-4, "epoch": step / 50, "step": step}
            history.append(entry)
            if step % 50 == 0:
                history.append({"eval_loss": loss(step) + 1, "eval_runtime": 3.0, "epoch": step / 50, "step": step})
        history.append({"train_runtime": 9.0, "train_loss": 7.0, "epoch": 2.0, "step": last})
        folder = tmp_path / "run" / f"checkpoint-{last}"
        folder.mkdir(parents=True)
        state = {"log_history": history, "global_step": last, "max_steps": 200, "train_batch_size": 8}
        (folder / "trainer_state.json").write_text(json.dumps(state))
    run = only(tmp_path)
    assert run.name == "run" and run.epoch_ends == (50.0, 100.0)
    check(run, Meaning.TRAINING_LOSS, list(range(10, 101, 10)), [loss(step) for step in range(10, 101, 10)])
    check(run, Meaning.VALIDATION_LOSS, [50, 100], [loss(50) + 1, loss(100) + 1])
    assert run.meanings[Meaning.RATE] == "learning_rate" and run.meanings[Meaning.GRADIENT_NORM] == "grad_norm"
    assert any("100 of 200 steps" in note for note in run.notes)


def test_weights_and_biases() -> None:
    run = only(DATA / "run-tiny.wandb")  # written by wandb 0.31, see data/README.md
    assert run.name == "tiny" and run.settings == {"lr": "0.1", "model.width": "64", "batch_size": "32"}
    expected = [loss(step) + 0.05 * (step * 7 % 5) for step in range(200)]
    check(run, Meaning.TRAINING_LOSS, list(range(200)), expected, 1e-12)
    check(run, Meaning.VALIDATION_LOSS, list(range(19, 200, 20)), [loss(s) + 0.1 for s in range(19, 200, 20)], 1e-12)
    assert math.isnan(run.columns["odd"].values[0]) and math.isinf(run.columns["big"].values[0])


@pytest.mark.parametrize("store", ["mlflow.db", "mlruns"])
def test_mlflow(store: str) -> None:
    run = only(DATA / store)  # written by mlflow 3.17, see data/README.md
    assert run.name == "tiny" and run.settings == {"lr": "0.1", "batch_size": "32"}
    steps = [*range(0, 200, 4), 201, 202]
    expected = [loss(step) + 0.05 * (step * 7 % 5) for step in steps[:-2]]
    check(run, Meaning.TRAINING_LOSS, list(map(float, steps)), [*expected, math.nan, math.inf], 1e-12)
    check(run, Meaning.VALIDATION_LOSS, list(range(19, 200, 20)), [loss(s) + 0.1 for s in range(19, 200, 20)], 1e-12)


def test_json_lines_nested(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    rows = [json.dumps({"iteration": step, "train": {"loss": loss(step)}, "tag": "a"}) for step in STEPS]
    path.write_text("\n".join(rows) + '\n{"iteration": 300, "tra')
    run = only(path)
    check(run, Meaning.TRAINING_LOSS, list(STEPS), [loss(step) for step in STEPS])
    assert any("1 of the lines" in note for note in run.notes) and run.settings == {"tag": "a"}


def test_keras_history_as_json(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    path.write_text(json.dumps({"loss": [3, 2, 1], "val_loss": [3, 2.5, 2]}))
    check(only(path), Meaning.VALIDATION_LOSS, [0, 1, 2], [3, 2.5, 2])


def test_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("Step;Trainingsverlust\n0;2,5\n1;1,25\n")
    check(only(path, loss="Trainingsverlust"), Meaning.TRAINING_LOSS, [0, 1], [2.5, 1.25])


def test_steps_that_restart_in_each_epoch_are_numbered_through(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("step,loss\n" + "\n".join(f"{row % 10},{row}" for row in range(40)))
    run = only(path)
    check(run, Meaning.TRAINING_LOSS, list(range(40)), list(range(40)))
    assert any("numbered through" in note for note in run.notes)


@pytest.mark.parametrize(
    ("columns", "training", "validation"),
    [
        (["loss", "val_loss", "loss_kl"], "loss", "val_loss"),
        (["trainLoss", "validLoss"], "trainLoss", "validLoss"),
        (["Loss/train", "Loss/test"], "Loss/train", "Loss/test"),
        (["train/loss_step", "train/loss_epoch", "val/loss_epoch"], "train/loss_step", "val/loss_epoch"),
        (["losses/total_loss", "losses/box_loss", "eval_loss"], "losses/total_loss", "eval_loss"),
        (["train_loss", "test_loss", "dev_loss", "loss_time"], "train_loss", "dev_loss"),
        (["mse", "val_mse", "lr"], "mse", "val_mse"),
    ],
)
def test_names_are_guessed(columns: list[str], training: str, validation: str) -> None:
    assert max(columns, key=lambda name: fitness(name, Meaning.TRAINING_LOSS)) == training
    assert max(columns, key=lambda name: fitness(name, Meaning.VALIDATION_LOSS)) == validation
    assert fitness("lr", Meaning.TRAINING_LOSS) == 0.0 == fitness("eval_runtime", Meaning.VALIDATION_LOSS)


def _broken(folder: Path) -> dict[str, Path]:
    made = {
        "empty.csv": b"",
        "header.csv": b"step,loss\n",
        "numbers.csv": b"1,2\n3,4\n",
        "noise.bin": bytes(range(256)) * 40,
        "noise.csv": bytes(range(1, 256)) * 40,
        "cut.json": b'{"log_history": [{"loss": 1.0, "step',
        "list.json": b"[1, 2, 3]",
        "words.jsonl": b"epoch 1 loss 3\n" * 300,
        "empty.wandb": b"",
        "text.wandb": b"hello",
        "trainer_state.json": b"{}",
        "empty.db": b"SQLite format 3\x00" + bytes(4000),
        "events.out.tfevents.1.x": b"\x00" * 40,
        "events.out.tfevents.2.x": b"",
        "lossless.csv": b"step,accuracy\n0,1\n",
    }
    for name, content in made.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in made}


def test_what_is_broken_is_refused_in_a_sentence(tmp_path: Path) -> None:
    for name, path in _broken(tmp_path).items():
        with pytest.raises(LogError, match="; got ") as problem:
            read([path])
        assert str(problem.value).endswith((".", ".wandb", "/.")), name
    with pytest.raises(LogError, match="does not exist"):
        read([tmp_path / "nowhere"])
    with pytest.raises(LogError, match="; got "):
        read([tmp_path])  # a folder of nothing but broken files


def test_cut_and_damaged_logs_give_what_stands_before(tmp_path: Path) -> None:
    whole = (DATA / "run-tiny.wandb").read_bytes()
    rows = []
    for size in range(len(whole) // 2, len(whole), 997):
        (tmp_path / "run-x.wandb").write_bytes(whole[:size])
        run = only(tmp_path / "run-x.wandb")
        rows.append(len(run.columns["train/loss"]))
    assert rows == sorted(rows) and 50 < rows[0] < rows[-1] <= 200
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    (tmp_path / "run-x.wandb").write_bytes(bytes(flipped))
    run = only(tmp_path / "run-x.wandb")
    assert any("damaged at byte" in note for note in run.notes) and 0 < len(run.columns["train/loss"]) < 200


def test_cut_event_file(tmp_path: Path) -> None:
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    with tensorboard.SummaryWriter(str(tmp_path)) as writer:
        for step in range(100):
            writer.add_scalar("loss", loss(step), step)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    run = only(path)
    assert any("middle of a record" in note for note in run.notes)
    assert 50 < len(run.columns["loss"]) < 80
    at = 0
    for _ in range(21):  # the first record is no scalar
        at += 16 + struct.unpack_from("<Q", whole, at)[0]
    path.write_bytes(whole[:at] + b"\x01\x02" + whole[at + 2 :])
    run = only(path)
    assert len(run.columns["loss"]) == 20 and any(f"damaged at byte {at}" in note for note in run.notes)


def test_a_mapping_that_names_what_there_is_not(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("step,objective_a\n0,1\n1,2\n")
    with pytest.raises(LogError, match="'objective_a'"):
        read([path], {"loss": "objectve_a"})
    with pytest.raises(LogError, match="validation_loss"):
        read([path], {"loos": "objective_a"})


@pytest.mark.parametrize("count", [50_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_many_rows(tmp_path: Path, count: int) -> None:
    path = tmp_path / "log.csv"
    path.write_text("step,loss\n" + "".join(f"{step},{1.0 / (step + 1):.6g}\n" for step in range(count)))
    start = time.process_time()
    assert len(only(path).columns["loss"]) == count
    assert time.process_time() - start < 15e-6 * count + 1.0


def test_no_torch_and_none_of_the_tools() -> None:
    code = (
        "import sys; from unstuck.logs import read; from pathlib import Path; "
        f"[read([Path({str(DATA)!r}) / name]) for name in ('run-tiny.wandb', 'mlflow.db', 'mlruns')]; "
        "assert not {'torch', 'wandb', 'mlflow', 'tensorboard'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_foreign_database_in_a_folder_is_passed_over(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE things (id)").connection.close()
    (tmp_path / "log.csv").write_text("step,loss\n0,1\n1,2\n")
    (tmp_path / "data.csv").write_text("age,height\n1,2\n")
    assert [run.name for run in read([tmp_path])] == ["log"]
