"""`unstuck init`: the written file makes what the script made."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.capture.forked import in_fork
from tests.capture.test_run import ALONE
from unstuck.capture.spelling import module_source

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


def compared(path: Path, folder: Path) -> tuple[tuple[str, ...], float, float, bool]:
    """What is left to do; the first loss as recorded and as written; whether the weights are the same."""

    def work() -> tuple[tuple[str, ...], float, float, bool]:
        from unstuck.capture.observer import Observer
        from unstuck.capture.rebuilding import recover
        from unstuck.capture.recorded_script import recording_of
        from unstuck.capture.running import run
        from unstuck.capture.script import as_main, script
        from unstuck.capture.writing import written
        from unstuck.cli.target import load

        program, observer = script(str(path), ()), Observer(3)
        with as_main(program):
            recovered = recover(observer, run(program, observer).finished)
        file = written(recording_of(observer, recovered, path, (), False))
        (folder / "written.py").write_text(file.text)
        assert recovered.setup is not None
        losses, weights = [], []
        for setup in (recovered.setup, load(str(folder / "written.py"))):
            own, model, optimizer = setup.fresh()
            weights.append([each.detach().clone() for each in model.parameters()])
            batch = next(iter(own.train.batches(torch.Generator().manual_seed(0))))
            torch.manual_seed(0)
            loss = own.loss(own.outputs(model, batch), own.targets(batch))
            loss.backward()
            optimizer.step()
            assert any(not torch.equal(*each) for each in zip(weights[-1], model.parameters(), strict=True))
            losses.append(float(loss.detach()))
        return file.todo, losses[0], losses[1], all(map(torch.equal, *weights))

    return in_fork(work)


def test_the_written_set_up_takes_the_same_first_step(tmp_path: Path) -> None:
    todo, recorded, again, is_same = compared(SCRIPTS / "digits_mlp.py", tmp_path)
    assert todo == ()
    assert is_same
    assert again == recorded


def test_a_change_of_what_a_script_makes_names_its_line() -> None:
    path = SCRIPTS / "digits_mlp.py"
    changes = in_fork(lambda: _changes_of(path))
    source = path.read_text().splitlines()
    assert [source[int(line.split(":")[1]) - 1].split()[0] for line in changes.values() if line] == [
        "optimizer", "for", "optimizer.step()",
    ]  # fmt: skip
    assert changes["epochs"] == ""


def _changes_of(path: Path) -> dict[str, str]:
    """Field → line, of a change of several parts of a script's set-up."""
    from unstuck.capture.observer import Observer
    from unstuck.capture.rebuilding import recover
    from unstuck.capture.running import run
    from unstuck.capture.script import as_main, script
    from unstuck.setup.corrections import Corrections
    from unstuck.setup.describe import difference

    program, observer = script(str(path), ()), Observer(3)
    with as_main(program):
        given = recover(observer, run(program, observer).finished).setup
    assert given is not None
    slower = given.optimizer.with_rate_times(0.5)
    train, corrections = given.train.with_batch_size(8), Corrections(clear_gradients=True)
    after = replace(given, optimizer=slower, train=train, epochs=given.epochs + 1, corrections=corrections)
    return {change.field: change.line for change in difference(given, after)}


def test_what_cannot_be_told_is_left_as_a_line_that_says_what_is_needed(tmp_path: Path) -> None:
    out = tmp_path / "made.py"
    words = [sys.executable, "-m", "unstuck", "init", "-o", str(out), str(SCRIPTS / "minibatch_permutation.py")]
    ended = subprocess.run(words, capture_output=True, text=True, env=ALONE, timeout=300)
    assert ended.returncode == 1
    text = out.read_text()
    compile(text, "made.py", "exec")
    assert 'raise NotImplementedError("TODO: train: give the 178 samples' in text
    assert "minibatch_permutation.py:" in text and "return torch.nn.functional.cross_entropy(outputs, targets)" in text
    in_chinese = tmp_path / "chinese.py"
    chinese = [*words[:3], "--lang", "zh", "init", "-o", str(in_chinese), words[-1]]
    ended = subprocess.run(chinese, capture_output=True, text=True, env=ALONE, timeout=300)
    assert "请以 `(inputs, targets)` 或 DataLoader 的形式给出这 178 个样本" in ended.stderr + in_chinese.read_text()
    assert "TODO: train: 请以" in in_chinese.read_text()
    compile(in_chinese.read_text(), "chinese.py", "exec")
    again = subprocess.run(words, capture_output=True, text=True, env=ALONE, timeout=300)
    assert again.returncode == 2 and "must not overwrite" in again.stderr and out.read_text() == text


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (nn.CrossEntropyLoss(), "torch.nn.CrossEntropyLoss()"),
        (nn.CrossEntropyLoss(label_smoothing=0.1), "torch.nn.CrossEntropyLoss(label_smoothing=0.1)"),
        (nn.MSELoss(reduction="sum"), "torch.nn.MSELoss(reduction='sum')"),
    ],
)
def test_a_loss_is_written_with_its_settings(module: nn.Module, source: str) -> None:
    assert module_source(module) == source
