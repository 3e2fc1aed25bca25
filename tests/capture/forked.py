"""Runs scripts in forked processes, which start with torch already imported."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import re
import runpy
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

T = TypeVar("T")

_TIMES = re.compile(r"(\b\w*(?:_runtime|_per_second)['\"]?\s*[:=]\s*)['\"]?[-+.\deE]+['\"]?")


def in_fork(work: Callable[[], T]) -> T:
    """What a function returns in a process of its own."""
    with tempfile.TemporaryFile() as answer:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.environ["OMP_NUM_THREADS"] = "1"
                warnings.simplefilter("default")  # as a script has it; the tests turn warnings into errors
                result = work()
                answer.write(pickle.dumps(result))
                answer.flush()
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        answer.seek(0)
        assert status == 0, "the forked process failed"
        found: T = pickle.loads(answer.read())
        return found


@dataclass(frozen=True)
class Told:
    """What came of a script under observation."""

    output: str
    losses: tuple[str, ...]
    status: int
    steps: int
    parts: dict[str, str]
    missing: tuple[str, ...]
    notes: tuple[str, ...]
    cause: str = ""
    sentence: str = ""
    named: tuple[str, ...] = ()
    proven: tuple[str, ...] = ()
    seconds: float = 0.0
    epochs: int = 0


def alone(path: Path, *arguments: str) -> str:
    """What a script prints by itself."""
    return alone_with_losses(path, *arguments)[0]


def alone_with_losses(path: Path, *arguments: str) -> tuple[str, tuple[str, ...]]:
    """What a script prints by itself, and each loss that it goes back from, to the last bit."""

    def work() -> tuple[str, tuple[str, ...]]:
        sys.argv = [str(path), *arguments]
        sys.path[0] = str(path.parent)
        losses: list[str] = []
        original = torch.autograd.backward

        def backward(tensors: Any, *arguments: Any, **keywords: Any) -> Any:
            root = tensors if isinstance(tensors, torch.Tensor) else next(iter(tensors), None)
            if isinstance(root, torch.Tensor) and root.numel() == 1:
                losses.append(float(root.detach()).hex())
            return original(tensors, *arguments, **keywords)

        torch.autograd.backward = backward
        with contextlib.redirect_stdout(io.StringIO()) as output:
            runpy.run_path(str(path), run_name="__main__")
        return output.getvalue(), tuple(losses)

    return in_fork(work)


def without_times(printed: str) -> str:
    """What was printed, but for how long it took and how much it did a second, which no two runs have in common."""
    return _TIMES.sub(r"\1...", printed)


def observed(path: Path, *arguments: str, budget: float | None = None, steps: int | None = None) -> Told:
    """What a script prints under observation, and what it turned out to train."""

    def work() -> Told:
        import unstuck
        from unstuck.capture.observer import Observer
        from unstuck.capture.rebuilding import recover
        from unstuck.capture.running import run
        from unstuck.capture.script import as_main, script

        program, observer = script(str(path), arguments), Observer(steps)
        with as_main(program):
            with contextlib.redirect_stdout(io.StringIO()) as output:
                ending = run(program, observer)
            found: Any = recover(observer, ending.finished)
            cause = sentence = ""
            named: tuple[str, ...] = ()
            proven: tuple[str, ...] = ()
            seconds = 0.0
            if budget is not None and found.setup is not None:
                with contextlib.redirect_stdout(io.StringIO()):
                    report = unstuck.diagnose(found.setup, budget=budget)
                cause = report.cause.rule.code if report.cause else ""
                sentence = report.sentence
                named = tuple(each.rule.code for each in report.findings)
                proven = tuple(each.rule.code for each in report.findings if each.status.value == "confirmed")
                seconds = report.cost.seconds
        parts = {part.name: part.what for part in found.parts}
        losses = tuple(each.hex() for each in observer.losses)
        epochs = found.setup.epochs if found.setup is not None else 0
        return Told(
            output.getvalue(), losses, ending.status, observer.steps, parts, found.missing, found.notes,
            cause, sentence, named, proven, seconds, epochs,
        )  # fmt: skip

    return in_fork(work)
