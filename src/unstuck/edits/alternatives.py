"""Several changes of the same set-up, those that do not apply left out."""

from __future__ import annotations

from collections.abc import Callable

from unstuck.errors import RemedyError
from unstuck.setup import Setup


def applicable(setup: Setup, *changes: Callable[[Setup], Setup]) -> tuple[Setup, ...]:
    """Apply each change by itself.

    Args:
        setup: What to change.
        *changes: The smallest first.

    Returns:
        One set-up for each that applies.

    Raises:
        RemedyError: If none does; the message is that of the last.
    """
    found, reason = list[Setup](), ""
    for change in changes:
        try:
            found.append(change(setup))
        except RemedyError as error:
            reason = str(error)
    if not found:
        raise RemedyError(reason)
    return tuple(found)
