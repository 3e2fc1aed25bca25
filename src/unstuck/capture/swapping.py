"""Wrappers for the time of a script, where torch has no public hook."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from unstuck.capture.tape import Tape


@contextmanager
def quiet(tape: Tape) -> Iterator[None]:
    """Note nothing inside, and warn of nothing."""
    awake, tape.awake = tape.awake, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        tape.awake = awake


@contextmanager
def swapped(owner: Any, name: str, wrap: Callable[[Any], Any]) -> Iterator[None]:
    """Put a wrapper in place of a function; afterwards the function is back, unless the script has replaced it."""
    original = getattr(owner, name)
    made = wrap(original)
    setattr(owner, name, made)
    try:
        yield
    finally:
        if getattr(owner, name) is made:
            setattr(owner, name, original)


def said(error: BaseException) -> str:
    """An error in a few words."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
