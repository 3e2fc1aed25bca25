"""Runs scripts in forked processes, which start with torch already imported."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import runpy
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


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

    def work() -> str:
        sys.argv = [str(path), *arguments]
        sys.path[0] = str(path.parent)
        with contextlib.redirect_stdout(io.StringIO()) as output:
            runpy.run_path(str(path), run_name="__main__")
        return output.getvalue()

    return in_fork(work)


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
        return Told(
            output.getvalue(), ending.status, observer.steps, parts, found.missing, found.notes, cause, sentence,
            named, proven, seconds, found.setup.epochs if found.setup is not None else 0,
        )  # fmt: skip

    return in_fork(work)
