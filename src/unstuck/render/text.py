"""A report as text: plain in 80 columns, or in colour on a terminal. Both are the same page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from unstuck.render.lines import Line, Style, bare
from unstuck.render.page import page
from unstuck.report import Report

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

WIDTH: Final = 80
NARROWEST: Final = 60

COLOURS: Final[Mapping[Style, str]] = {
    "": "",
    "heading": "bold underline",
    "strong": "bold",
    "code": "cyan",
    "sick": "red",
    "well": "green",
    "doubt": "yellow",
    "dim": "dim",
}


def plain(report: Report, width: int = WIDTH, every_number: bool = False) -> str:
    """Write a report without colour.

    Args:
        report: The report.
        width: Columns, 60 at least.
        every_number: All that was ruled out in full, not the tellingest only.

    Returns:
        Text that ends in a line break; no line is wider than `width`.
    """
    return plain_lines(page(report, max(NARROWEST, width), every_number))


def plain_lines(lines: Sequence[Line]) -> str:
    """The text of lines, each with a line break."""
    return "".join(f"{bare(line)}\n" for line in lines)


def rich_lines(lines: Sequence[Line]) -> Text:
    """Lines as rich text; nothing in them is read as markup.

    Args:
        lines: The lines.

    Returns:
        The text, without a line break at its end.
    """
    from rich.text import Text

    text = Text(no_wrap=True, end="")
    for index, line in enumerate(lines):
        if index:
            text.append("\n")
        for place, span in enumerate(line, start=1):
            shown = span.text.rstrip() if place == len(line) else span.text
            text.append(shown, style=COLOURS[span.style] or None)
    return text


def width_of(console: Console) -> int:
    """The columns a page takes on a console: 80, fewer where the terminal is narrower."""
    return max(NARROWEST, min(WIDTH, console.width))


def print_lines(lines: Sequence[Line], console: Console) -> None:
    """Print lines on a console, in colour where it has colours.

    Args:
        lines: The lines.
        console: Where to print.
    """
    console.print(rich_lines(lines), soft_wrap=True, highlight=False, markup=False)
