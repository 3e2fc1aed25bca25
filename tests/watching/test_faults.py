"""What programs do to a watched loop: no result changes, no record is lost beyond what waited to be written."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.watching.test_watch import count_hooks, network, train
from unstuck.recording import open_record, records_in
from unstuck.watching import watch

BEGIN = """
import os, sys, time
import torch
from torch import nn
import unstuck.recording.writer
from unstuck.watching import watch
unstuck.recording.writer.FLUSH_SECONDS = 0.02
torch.set_num_threads(1)
def parts():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 3))
    return model, torch.optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss()
def train(model, optimizer, criterion, steps, each=lambda loss: None):
    for _ in range(steps):
        optimizer.zero_grad()
        loss = criterion(model(torch.randn(8, 6)), torch.randint(3, (8,)))
        loss.backward()
        optimizer.step()
        each(loss.item())
"""


def ran(program: str, *arguments: Any) -> tuple[int, list[str]]:
    """Run a program of its own; its exit code and what it printed."""
    command = [sys.executable, "-c", BEGIN + program, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=300, check=False)
    return done.returncode, done.stdout.splitlines()


KILLED = """
import random, signal
from unstuck.recording import RecordWriter
flush = RecordWriter.flush
def told(self, *arguments, **options):
    flush(self, *arguments, **options)
    os.write(out, b"%d\\n" % self.last_step)
RecordWriter.flush = told
train(*parts(), 1)  # what torch imports with the first optimizer, once for all
draws = random.Random(int(sys.argv[2]))
for number in range(int(sys.argv[3])):
    end, out = os.pipe()
    child = os.fork()
    if child == 0:
        with watch(*(found := parts())[:2], folder=os.path.join(sys.argv[1], str(number)), findings=False):
            train(*found, 1_000_000)
    os.close(out)
    with os.fdopen(end) as said:
        first = said.readline()  # the record has been begun
        time.sleep(draws.uniform(0.0, 0.4))
        os.kill(child, signal.SIGKILL)
        lines = [first, *said]
    os.waitpid(child, 0)
    print(max(int(line) for line in lines if line.endswith("\\n")))
"""


def check_killed(folder: Path, seed: int, moments: int) -> None:
    code, said = ran(KILLED, folder, seed, moments)
    assert code == 0 and len(said) == moments
    for number, flushed in enumerate(map(int, said)):
        (path,) = (folder / str(number)).glob("*.unstuck")
        with open_record(path) as record:
            assert record._rows("PRAGMA integrity_check") == [("ok",)]
            losses = record.series("loss")
            assert record.info(time.time() + 1000).status == "crashed"
        assert losses.counts.sum() >= flushed + 1, "what was written must be there"
        assert (losses.steps[1:] == losses.last_steps[:-1] + 1).all()


pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def test_a_watched_loop_that_is_killed_leaves_what_was_written(tmp_path: Path) -> None:
    check_killed(tmp_path, 1, 4)


@pytest.mark.slow
def test_a_watched_loop_that_is_killed_at_200_moments_leaves_what_was_written(tmp_path: Path) -> None:
    check_killed(tmp_path, 2, 200)


def test_a_script_that_forks_records_its_own_steps_only(tmp_path: Path) -> None:
    program = """
found = parts()
with watch(*found[:2], folder=sys.argv[1], share=0) as recording:
    train(*found, 10)
    child = os.fork()
    train(*found, 150 if child == 0 else 5)
    recording.log(**{"child" if child == 0 else "parent": 1.0})
if child == 0:
    os._exit(0)
print(os.waitpid(child, 0)[1])
"""
    assert ran(program, tmp_path) == (0, ["0"])
    (info,), broken = records_in(tmp_path)
    assert broken == () and info.status == "finished"
    with open_record(info.path) as record:
        assert record.series("loss").steps.tolist() == list(range(15))
        assert len(record.series("child")) == 0 and len(record.series("parent")) == 1


def test_a_script_that_ends_itself_leaves_what_was_written(tmp_path: Path) -> None:
    program = """
found = parts()
losses = []
recording = watch(*found[:2], folder=sys.argv[1], findings=False)
recording.start()
for _ in range(20):
    train(*found, 5, losses.append)
    time.sleep(0.01)
time.sleep(0.05)
train(*found, 64, losses.append)
print(*losses[:100], flush=True)
os._exit(3)
"""
    code, (said,) = ran(program, tmp_path)
    assert code == 3
    (path,) = tmp_path.glob("*.unstuck")
    with open_record(path) as record:
        losses = record.series("loss")
        assert record.info(time.time() + 1000).status == "crashed"
    assert losses.values.tolist()[:100] == pytest.approx([float(word) for word in said.split()], rel=1e-6)
    assert len(losses) >= 100, "all but what came since the last writing"


class Fails(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, inputs: Tensor) -> Tensor:
        return inputs.clone()

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        raise ArithmeticError("no gradient today")


def test_an_error_in_the_backward_pass_is_the_programs_own(tmp_path: Path) -> None:
    model, criterion = network(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with pytest.raises(ArithmeticError, match="no gradient today"):
        with watch(model, optimizer, folder=tmp_path, share=0):
            train(model, optimizer, 4, criterion)
            train(model, optimizer, 1, lambda outputs, targets: criterion(Fails.apply(outputs), targets))
    assert count_hooks(model, optimizer) == 0 and not criterion._forward_hooks
    (info,), _ = records_in(tmp_path)
    assert (info.status, info.last_step, info.error) == ("crashed", 3, "ArithmeticError: no gradient today")
    train(model, optimizer, 2, criterion)  # nothing of the step that broke off is in the way


def test_a_program_that_changes_its_directory_keeps_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with watch(model, optimizer, folder="runs", share=0) as recording:
        monkeypatch.chdir(tmp_path / "elsewhere")
        train(model, optimizer, 150)  # it is looked at after a hundred
    assert recording.path is not None and recording.path.is_absolute()
    (info,), _ = records_in(tmp_path / "runs")
    assert info.last_step == 149 and info.status == "finished" and not any((tmp_path / "elsewhere").iterdir())


def test_a_record_that_vanishes_is_said_and_the_run_goes_on(tmp_path: Path) -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with pytest.warns(RuntimeWarning) as caught:
        with watch(model, optimizer, folder=tmp_path, share=0) as recording:
            train(model, optimizer, 20)
            for path in tmp_path.iterdir():
                path.unlink()
            train(model, optimizer, 200)
    assert recording.step == 220 and count_hooks(model, optimizer) == 0
    assert any("can no longer be judged" in str(each.message) for each in caught) and len(caught) <= 2


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that nobody may write to")
def test_a_folder_that_nobody_may_write_to_is_said(tmp_path: Path) -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with pytest.warns(RuntimeWarning, match="must be in a folder that can be written to; got '/proc"):
        recording = watch(model, optimizer, folder="/proc/unstuck")
    with recording:
        train(model, optimizer)
    assert recording.path is None and recording.step == 6


def test_a_file_that_may_grow_no_more_is_said_and_changes_no_loss(tmp_path: Path) -> None:
    """As on a full disk: the system refuses to write, from some size of the file on."""
    program = """
import resource, signal, warnings
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def losses(folder):
    found, seen = parts(), []
    with watch(*found[:2], folder=folder, share=0, findings=False) as recording:
        if folder is not None:
            size = os.path.getsize(recording.path) + 40_000
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        train(*found, 600, seen.append)
    return seen
plain = losses(None)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    print(losses(sys.argv[1]) == plain)
print(*{str(each.message).split("(")[-1] for each in caught})
"""
    code, said = ran(program, tmp_path)
    assert code == 0 and said[0] == "True"
    assert "the run goes on" in said[1] and ("full" in said[1] or "disk I/O" in said[1])
    (path,) = tmp_path.glob("*.unstuck")
    with open_record(path) as record:
        assert record._rows("PRAGMA integrity_check") == [("ok",)] and record.info().path == path


def test_a_damaged_record_is_not_gone_on_with(tmp_path: Path) -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with watch(model, optimizer, folder=tmp_path, share=0) as recording:
        train(model, optimizer, 20)
    assert recording.path is not None
    recording.path.write_bytes(b"no database" * 1000)
    with pytest.warns(RuntimeWarning, match="The run goes on without a record"):
        again = watch(model, optimizer, resume=recording.path, step=20)
    with again:
        train(model, optimizer)
    assert again.path is None and recording.path.read_bytes() == b"no database" * 1000


def losses_of(loop: Callable[[nn.Module, torch.optim.Optimizer], list[float]], folder: Path | None) -> Any:
    torch.manual_seed(7)
    model = network(nn.Dropout(0.3))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    if folder is None:
        return loop(model, optimizer), torch.get_rng_state().tolist()
    with watch(model, optimizer, folder=folder, share=0) as recording:
        found = loop(model, optimizer)
    assert recording.path is not None
    with open_record(recording.path) as record:
        assert record.series("loss").values.tolist() == found
    return found, torch.get_rng_state().tolist()


def test_seeding_late_changes_no_result(tmp_path: Path) -> None:
    def loop(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[float]:
        criterion = nn.CrossEntropyLoss()
        first = train(model, optimizer, 10, criterion)
        torch.manual_seed(11)
        return [*first, *train(model, optimizer, 10, criterion)]

    assert losses_of(loop, None) == losses_of(loop, tmp_path)


def test_patches_of_torch_and_of_the_clock_change_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call, backward = nn.Module.__call__, Tensor.backward
    calls: list[str] = []

    def called(self: nn.Module, *arguments: Any, **options: Any) -> Any:
        calls.append("call")
        return call(self, *arguments, **options)

    def back(self: Tensor, *arguments: Any, **options: Any) -> Any:
        calls.append("backward")
        return backward(self, *arguments, **options)

    def loop(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[float]:
        with monkeypatch.context() as patch:
            patch.setattr(nn.Module, "__call__", called)
            patch.setattr(Tensor, "backward", back)
            patch.setattr(time, "thread_time", lambda: 1.0)
            patch.setattr(time, "perf_counter", lambda: 1.0)
            return train(model, optimizer, 20)

    plain, count = losses_of(loop, None), len(calls)
    assert losses_of(loop, tmp_path) == plain and len(calls) == 2 * count


def test_a_signal_that_ends_the_program_ends_the_record(tmp_path: Path) -> None:
    program = """
import signal
signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
found = parts()
with watch(*found[:2], folder=sys.argv[1], findings=False):
    train(*found, 30)
    os.kill(os.getpid(), signal.SIGTERM)
    train(*found, 30)
"""
    assert ran(program, tmp_path)[0] == 5
    (info,), _ = records_in(tmp_path)
    assert (info.status, info.error) == ("crashed", "SystemExit: 5") and info.last_step >= 29
