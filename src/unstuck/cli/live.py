"""Progress on a terminal: one line with what is being tried and the time left, suspicions above it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, final

from unstuck.languages import current, marked, translated, use
from unstuck.progress import Listener, Progress, nobody
from unstuck.render.figures import duration
from unstuck.render.lines import clean, named

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

FRAMES: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
FRAMES_A_SECOND: Final = 4


@final
class StatusLine:
    """What the line shows; rich draws it anew several times a second.

    Args:
        console: Where suspicions are printed.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.language = current()
        self.started = time.monotonic()
        self.heard = self.started
        self.latest = Progress(marked("starting"), 0.0, float("nan"))

    def hear(self, progress: Progress) -> None:
        """Take a sign of life, and print its suspicion.

        Args:
            progress: What is being done now.
        """
        from rich.text import Text

        self.heard = time.monotonic()
        self.latest = progress
        rule = progress.suspicion
        if rule is not None:
            name = f"{named(rule.code, 12)} {named(rule.name, 60)}"
            text = Text.assemble(
                (translated("suspected "), "yellow"),
                (name, "bold"),
                (translated(f"  after {duration(progress.elapsed)}"), "dim"),
            )
            self.console.print(text, soft_wrap=True, highlight=False)

    def __rich__(self) -> Text:
        """The line as it is at this moment."""
        from rich.text import Text

        now = time.monotonic()
        frame = FRAMES[int((now - self.started) * FRAMES_A_SECOND) % len(FRAMES)]
        left = self.latest.left - (now - self.heard)
        rest = f"  {duration(max(0.0, left))} left" if left == left else ""
        with use(self.language):  # rich draws in a thread of its own
            text = Text.assemble((frame, "cyan"), f" {clean(self.latest.doing, 60)}", (translated(rest), "dim"))
        text.no_wrap, text.overflow = True, "ellipsis"
        return text


@contextmanager
def following(console: Console, wanted: bool) -> Iterator[Listener]:
    """Show progress while the block runs.

    Args:
        console: A console on standard error.
        wanted: Whether to show anything at all; a console that is no terminal shows nothing.

    Yields:
        The listener to hand to `diagnose` or `treat`.
    """
    if not wanted or not console.is_terminal:
        yield nobody
        return
    from rich.live import Live

    status = StatusLine(console)
    with Live(status, console=console, transient=True, refresh_per_second=FRAMES_A_SECOND):
        yield status.hear
