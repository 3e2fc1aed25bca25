"""Progress on a terminal, and none elsewhere."""

from __future__ import annotations

import io

from rich.console import Console

from tests.render.samples import RATE
from unstuck.cli.live import StatusLine, following
from unstuck.progress import Progress, nobody


def test_a_terminal_shows_what_is_tried_the_time_left_and_each_suspicion() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=80, color_system=None)
    with following(console, wanted=True) as listener:
        listener(Progress("training [red]as given", 0.5, 59.4))
        listener(Progress("suspecting", 0.6, 59.2, RATE))
    shown = stream.getvalue()
    assert "suspected OPT001 learning-rate-too-high  after 0.6 s\n" in shown
    assert "training [red]as given  59 s left" in shown or "suspecting" in shown


def test_the_line_counts_down_between_two_signs_of_life() -> None:
    status = StatusLine(Console(file=io.StringIO()))
    status.hear(Progress("training [red]as given\n", 0.5, 59.4))
    status.heard -= 10
    assert status.__rich__().plain.endswith(" training [red]as given  49 s left")
    status.heard -= 100
    assert status.__rich__().plain.endswith(" 0 s left")


def test_a_pipe_shows_nothing() -> None:
    stream = io.StringIO()
    for wanted, terminal in ((True, False), (False, True)):
        with following(Console(file=stream, force_terminal=terminal), wanted) as listener:
            assert listener is nobody
    assert stream.getvalue() == ""
