"""Scripts that do what they should not: clear messages, no changed result, and nothing left behind."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.modules.module as torch_modules
from torch import nn
from torch.nn.modules.module import _global_forward_hooks, _global_forward_pre_hooks
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.dataloader import _BaseDataLoaderIter

from tests.capture.forked import Told, alone, in_fork, observed
from tests.capture.test_run import observed as in_process
from unstuck.capture.observer import Observer, Stopped
from unstuck.capture.rebuilding import recover
from unstuck.capture.running import run
from unstuck.capture.script import as_main
from unstuck.capture.script import script as find

LOOP = """
import os, sys, torch
from torch import nn
{before}
torch.manual_seed(0)
X = torch.randn(64, 4); Y = X.sum(1, keepdim=True)
model = nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
{setting}
for step in range(6):
    loss = nn.functional.mse_loss(model(X), Y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, repr(loss.item()))
    {during}
"""


def told(folder: Path, before: str = "", setting: str = "", during: str = "pass", steps: int | None = None) -> Told:
    script = folder / "train.py"
    script.write_text(LOOP.format(before=before, setting=setting, during=during))
    found = observed(script, steps=steps)
    if steps is None:
        assert found.output == alone(script)
    return found


@pytest.mark.parametrize(
    ("before", "setting", "during"),
    [
        ("", "", "os.fork() or os._exit(0); os.wait()"),
        ("", "torch.manual_seed(5)", "pass"),
        ("original = nn.functional.mse_loss\nnn.functional.mse_loss = lambda a, b: 2 * original(a, b)", "", "pass"),
        ("", "original = optimizer.step\noptimizer.step = lambda: original()", "pass"),
        ("", "os.chdir('/')", "pass"),
        ("torch.autograd.backward = torch.autograd.backward", "", "pass"),
        ("", "torch.set_default_device('cpu')", "pass"),
    ],
)
def test_an_odd_script_gives_the_same_and_is_understood(tmp_path: Path, before: str, setting: str, during: str) -> None:
    found = told(tmp_path, before, setting, during)
    assert found.steps == 6
    assert found.missing == ()
    assert found.parts["train"] == "64 samples, in order, batches of 64"


UNSEEN = """
import torch, unstuck
from torch import nn
torch.manual_seed(0)
X = torch.randn(64, 4); Y = X.sum(1, keepdim=True)
model = nn.Linear(4, 1)
nn.init.constant_(model.weight, 0.5)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
unstuck.hint(model=model, optimizer=optimizer{told})
for step in range(6):
    loss = nn.functional.mse_loss(model(X), Y)
    loss.backward()
    with torch.no_grad():
        for each in model.parameters():
            each -= 0.1 * each.grad
            each.grad = None
"""


def test_what_no_optimizer_of_torch_trains_is_examined_as_hinted(tmp_path: Path) -> None:
    """As with the optimizers of Keras: the hint is of the model as it was, before it was trained."""
    script = tmp_path / "train.py"
    script.write_text(UNSEEN.format(told=", loss=nn.MSELoss(), train=(X, Y), batch_size=16, epochs=2"))

    def work() -> tuple[Any, ...]:
        observer, program = Observer(), find(str(script), ())
        with as_main(program):
            found = recover(observer, run(program, observer).finished)
        assert found.setup is not None
        weight = found.setup.fresh()[1].weight
        return found.missing, {part.name: part.what for part in found.parts}, torch.as_tensor(weight).tolist()

    missing, parts, weight = in_fork(work)
    assert missing == () and set(parts.values()) == {"as hinted"} and {"model", "train"} <= set(parts)
    assert weight == [[0.5] * 4]
    script.write_text(UNSEEN.format(told=""))
    assert "6 backward passes and no step of an optimizer of torch" in observed(script).missing[0]


def test_an_error_in_the_backward_pass_is_the_scripts_own(tmp_path: Path) -> None:
    raising = "step == 3 and loss.register_hook(lambda gradient: 1 / 0)\n    loss = loss + 0"
    script = tmp_path / "train.py"
    text = LOOP.format(before="", setting="", during="pass")
    script.write_text(text.replace("    loss.backward()", f"    {raising}\n    loss.backward()"))
    ended = in_process(str(script))
    assert ended.returncode == 1 and "ZeroDivisionError" in ended.stderr
    assert [line[0] for line in ended.stdout.splitlines()] == ["0", "1", "2"]
    assert "3 optimizer steps, ended by ZeroDivisionError" in ended.stderr


def test_a_script_that_ends_its_process_says_why_nothing_follows(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(LOOP.format(before="", setting="", during="step == 3 and os._exit(7)"))
    ended = in_process(str(script))
    assert ended.returncode == 7
    assert "ended its process by os._exit after 4 steps" in ended.stderr


def test_a_script_is_stopped_though_it_catches_exceptions(tmp_path: Path) -> None:
    found = told(tmp_path, before="import contextlib", during="pass", steps=3)
    assert (found.steps, found.status) == (3, 0)
    assert [line[0] for line in found.output.splitlines()] == ["0", "1"]


def train(model: nn.Module, steps: int = 6) -> list[float]:
    torch.manual_seed(1)
    data = TensorDataset(torch.randn(32, 4), torch.randint(3, (32,)))
    optimizer, losses = torch.optim.Adam(model.parameters()), []
    while len(losses) < steps:
        for inputs, targets in DataLoader(data, 8, shuffle=True):
            loss = nn.functional.cross_entropy(model(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


@pytest.mark.parametrize("ending", ["end", "error", "stop"])
def test_hooks_and_wrappers_are_gone_afterwards(ending: str) -> None:
    before = torch.autograd.backward, DataLoader.__iter__, _BaseDataLoaderIter.__next__, torch.compile
    before += (nn.utils.clip_grad_norm_, torch.optim.Optimizer.__init__, torch_modules._has_any_global_hook)
    observer = Observer(3 if ending == "stop" else None)
    try:
        with observer.watching():
            train(nn.Linear(4, 3))
            assert not torch_modules._has_any_global_hook()  # ours are not the script's
            if ending == "error":
                raise ValueError
    except (ValueError, Stopped):
        pass
    after = torch.autograd.backward, DataLoader.__iter__, _BaseDataLoaderIter.__next__, torch.compile
    after += (nn.utils.clip_grad_norm_, torch.optim.Optimizer.__init__, torch_modules._has_any_global_hook)
    assert after == before
    assert not _global_forward_hooks and not _global_forward_pre_hooks
    assert not _global_optimizer_pre_hooks and not _global_optimizer_post_hooks
    assert torch._C._len_torch_function_stack() == 0
    assert observer.steps == (3 if ending == "stop" else 8)


def test_observing_changes_neither_losses_nor_weights_nor_generators() -> None:
    plain = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 3))
    watched = copy.deepcopy(plain)
    losses, state = train(plain), torch.get_rng_state()
    observer = Observer()
    with observer.watching():
        assert train(watched) == losses
    assert torch.equal(torch.get_rng_state(), state)
    assert observer.losses == losses
    for one, other in zip(plain.parameters(), watched.parameters(), strict=True):
        assert torch.equal(one, other)
