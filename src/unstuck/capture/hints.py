"""`unstuck.hint`: what a script can say about itself. Importing it imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from unstuck.errors import SetupError

NAMES: Final = (
    "model", "loss", "optimizer", "train", "validation", "test", "epochs", "batch_size", "scheduler",
    "schedule_every", "forward", "train_step", "seed",
)  # fmt: skip

_listeners: list[Callable[[dict[str, Any]], None]] = []


def hint(**given: Any) -> None:
    """Tell `unstuck run` a part of the set-up that it cannot see by itself; does nothing outside `unstuck run`.

    Args:
        **given: Arguments of `Setup.of`, such as `loss=` or `validation=`; they stand in place of what was seen.

    Raises:
        SetupError: If a name is not one of those.
    """
    for name in given:
        if name not in NAMES:
            raise SetupError("A hint must be an argument of `Setup.of`", f"`{name}`", f"Give {', '.join(NAMES)}.")
    for listener in _listeners:
        listener(given)


def listen(listener: Callable[[dict[str, Any]], None]) -> None:
    """Hand every hint to a listener, until `forget`."""
    _listeners.append(listener)


def forget(listener: Callable[[dict[str, Any]], None]) -> None:
    """Hand no more hints to a listener."""
    _listeners.remove(listener)
