"""Runs a script under observation, and says how it ended."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, final

from unstuck.capture import hints
from unstuck.capture.observer import Observer, Stopped
from unstuck.capture.script import Script, without_ours


@final
@dataclass(frozen=True, slots=True)
class Ending:
    """How a script ended.

    Attributes:
        status: Its exit status.
        finished: Whether it came to its own end.
        reason: What ended it before, such as "after 100 steps, as asked", or "".
    """

    status: int
    finished: bool
    reason: str = ""


def run(program: Script, observer: Observer) -> Ending:
    """Run a script to its end, or to that of its time; what it raises is printed as Python does.

    Args:
        program: Not yet run; `as_main` is around this call.
        observer: Looks on.

    Returns:
        How it ended.
    """
    hints.listen(observer.hint)
    try:
        with _saying_so_at_exit(observer), observer.watching():
            exec(program.code, vars(program.module))
    except Stopped:
        limit = f"{observer.steps} steps" if observer.ended_by == "steps" else "the minutes"
        return Ending(0, False, f"ended after {limit} that were asked for")
    except SystemExit as end:
        return Ending(_status(end.code), not end.code)
    except KeyboardInterrupt:
        return Ending(130, False, "stopped by Ctrl-C")
    except BaseException as error:
        error.__traceback__ = without_ours(error.__traceback__)
        sys.excepthook(type(error), error, error.__traceback__)
        return Ending(1, False, f"ended by {type(error).__name__}")
    finally:
        hints.forget(observer.hint)
        sys.stdout.flush()
    if observer.ended_by:  # the script has caught what ended its training
        return Ending(0, False, f"ended after {observer.steps} steps, as asked")
    return Ending(0, True)


def _status(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1


@contextlib.contextmanager
def _saying_so_at_exit(observer: Observer) -> Iterator[None]:
    """Say why nothing follows where a script ends its process at once."""
    original, process = os._exit, os.getpid()

    def leave(status: int) -> Any:
        if os.getpid() == process:
            with contextlib.suppress(Exception):
                sys.stderr.write(
                    f"unstuck: the script ended its process by os._exit after {observer.steps} steps, so nothing can "
                    "be examined; end it by sys.exit, or give --steps.\n"
                )
                sys.stderr.flush()
        original(status)

    stand_in: Callable[[int], Any] = leave
    os._exit = stand_in  # type: ignore[assignment]
    try:
        yield
    finally:
        if os._exit is stand_in:
            os._exit = original
