"""Where results go: text or JSON to standard output, JSON to a file, messages to standard error."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO, final

from unstuck.cli.arguments import STANDARD_OUTPUT
from unstuck.errors import TargetError
from unstuck.languages import translated
from unstuck.render import save
from unstuck.render.text import WIDTH, plain_lines, print_lines, width_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from unstuck.render.cure import CureRecord
    from unstuck.render.lines import Line
    from unstuck.report import Report


MOST_PRINTED: Final = 20
"""Lines of the user's own program that are passed on during an examination."""

PRINTS_MORE: Final = "your program prints more, which is left out from here on."


def say(message: str) -> None:
    """Print a message on standard error, in the language of the reader."""
    sys.stderr.write(f"unstuck: {translated(message)}\n")


@final
class FirstLines(io.TextIOBase):
    """Passes on what the user's program prints, until it has printed enough: it runs dozens of times.

    Args:
        stream: Where the lines go.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._left = MOST_PRINTED

    def write(self, text: str) -> int:
        """Pass on the lines that there is room for, and say once that the rest is left out."""
        if self._left > 0:
            lines = text.splitlines(keepends=True)
            self._stream.write("".join(lines[: self._left]))
            self._left -= text.count("\n")
            if self._left <= 0:
                self._stream.write(f"unstuck: {translated(PRINTS_MORE)}\n")
        return len(text)

    def flush(self) -> None:
        """Pass it on."""
        self._stream.flush()


def survive_any_encoding() -> None:
    """Let a character that the output's encoding lacks become "?" instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if callable(reconfigure):
            reconfigure(errors="replace")


def show(layout: Callable[[int], Sequence[Line]], plain: bool) -> None:
    """Print a page, in colour on a terminal only, and in ASCII where the encoding cannot draw it.

    Args:
        layout: Lays the page out for a number of columns.
        plain: No colour, even on a terminal.
    """
    from unstuck.render.ascii import can_draw, in_ascii

    drawn = can_draw(sys.stdout.encoding)
    if plain or not sys.stdout.isatty():
        sys.stdout.write(plain_lines(layout(WIDTH) if drawn else in_ascii(layout, WIDTH)))
        return
    from rich.console import Console

    console = Console(file=sys.stdout)
    width = width_of(console)
    if lines := layout(width) if drawn else in_ascii(layout, width):
        print_lines(lines, console)


def write_json(data: bytes, path: str) -> None:
    """Write JSON to a file, or to standard output where the path is "-".

    Args:
        data: The JSON.
        path: Where to.

    Raises:
        TargetError: If the file cannot be written.
    """
    if path == STANDARD_OUTPUT:
        sys.stdout.flush()
        buffer = getattr(sys.stdout, "buffer", None)
        if buffer is None:
            sys.stdout.write(data.decode("utf-8"))
        else:
            buffer.write(data)
            buffer.flush()
        return
    with _writing("--json", path):
        Path(path).write_bytes(data)


def write_html(page: Callable[[], str], path: str | None) -> None:
    """Write a page to a file, where one is wanted.

    Args:
        page: Makes it.
        path: Where to; None for nowhere.

    Raises:
        TargetError: If the file cannot be written.
    """
    if path is None:
        return
    with _writing("--html", path):
        Path(path).write_text(page(), encoding="utf-8")


def save_as(report: Report, paths: Sequence[str], option: str = "--save") -> None:
    """Save a report in every form that was asked for.

    Args:
        report: The report.
        paths: Where to; the ending of each chooses the form.
        option: After which the paths were typed.

    Raises:
        TargetError: If a file cannot be written.
    """
    for path in paths:
        with _writing(option, path):
            save(report, path)


def save_cure_as(cure: CureRecord, paths: Sequence[str]) -> None:
    """Save a cure in every form that was asked for.

    Args:
        cure: What `treat` came to.
        paths: Where to; the ending of each chooses the form.

    Raises:
        TargetError: If a file cannot be written.
    """
    from unstuck.render.cure_forms import save_cure

    for path in paths:
        with _writing("--save", path):
            save_cure(cure, path)


@contextmanager
def _writing(option: str, path: str) -> Iterator[None]:
    """Say of a file that cannot be written after which option it was typed."""
    try:
        yield
    except OSError as error:
        got = f"{path!r}: {error.strerror or error}"
        raise TargetError(f"`{option}` must name a file that can be written", got, "Name another.") from None


def deliver(data: Callable[[], bytes], layout: Callable[[int], Sequence[Line]], path: str | None, plain: bool) -> None:
    """Give a result in the form that was asked for.

    Args:
        data: Makes its JSON.
        layout: Lays its page out for a number of columns.
        path: Where the JSON goes; None where none is wanted.
        plain: No colour, even on a terminal.
    """
    if path != STANDARD_OUTPUT:
        show(layout, plain)
    if path is not None:
        write_json(data(), path)
