"""What the commands' arguments have in common: how they are read, and how help is laid out."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any, Final

from unstuck.languages import translated
from unstuck.render import ENDINGS

WIDTH: Final = 80
STANDARD_OUTPUT: Final = "-"
DIAGNOSE_BUDGET: Final = 60.0
TREAT_BUDGET: Final = 120.0


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Help at 80 columns whatever the terminal, its paragraphs as they were written, in the reader's language."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=WIDTH)

    def start_section(self, heading: str | None) -> None:
        """Begin a group of options."""
        super().start_section(heading and translated(heading))

    def add_text(self, text: str | None) -> None:
        """Add a description: a message, or several with an empty line between them."""
        if text is not None and (whole := translated(text)) != text:
            text = whole
        elif text is not None:
            text = "\n\n".join(map(translated, text.split("\n\n")))
        super().add_text(text)

    def add_usage(self, usage: str | None, actions: Any, groups: Any, prefix: str | None = None) -> None:
        """Add the line that shows what can be typed."""
        super().add_usage(usage, actions, groups, translated("usage: ") if prefix is None else prefix)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help and translated(action.help)

    def _split_lines(self, text: str, width: int) -> list[str]:
        if text.isascii():
            return super()._split_lines(text, width)
        from unstuck.render.lines import bare, wrap

        return [bare(line) for line in wrap([" ".join(text.split())], width)]


def budget(text: str) -> float | str:
    """Read a budget: seconds, or a multiple of one run.

    Args:
        text: Such as "60" or "3x".

    Returns:
        The seconds, or the text itself for a multiple.

    Raises:
        argparse.ArgumentTypeError: If it is neither, or not above zero.
    """
    multiple = text.strip().lower()
    try:
        value = float(multiple.removesuffix("x"))
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        problem = f"must be seconds such as 60 or a multiple of one run such as 3x; got {text!r}"
        raise argparse.ArgumentTypeError(problem)
    return multiple if multiple.endswith("x") else value


def json_path(text: str) -> str:
    """Read where JSON goes.

    Args:
        text: "-" for standard output, or a path that ends in ".json".

    Returns:
        The text itself.

    Raises:
        argparse.ArgumentTypeError: If it is neither, or its folder does not exist.
    """
    if text == STANDARD_OUTPUT:
        return text
    if not text.lower().endswith(".json"):
        raise argparse.ArgumentTypeError(f"must be a path that ends in .json; got {text!r}")
    return _in_a_folder(text)


def html_path(text: str) -> str:
    """Read where HTML goes.

    Args:
        text: A path that ends in ".html".

    Returns:
        The text itself.

    Raises:
        argparse.ArgumentTypeError: If it does not, or its folder does not exist.
    """
    if not text.lower().endswith(".html"):
        raise argparse.ArgumentTypeError(f"must be a path that ends in .html; got {text!r}")
    return _in_a_folder(text)


def save_path(text: str) -> str:
    """Read where a report is saved.

    Args:
        text: A path whose ending chooses the form, such as "report.md".

    Returns:
        The text itself.

    Raises:
        argparse.ArgumentTypeError: If it has another ending, or its folder does not exist.
    """
    if Path(text).suffix.lower() not in ENDINGS:
        raise argparse.ArgumentTypeError(f"must end in {', '.join(ENDINGS)}; got {text!r}")
    return _in_a_folder(text)


def _in_a_folder(text: str) -> str:
    if not Path(text).parent.is_dir():
        raise argparse.ArgumentTypeError(f"must be in a folder that exists; got {text!r}")
    return text
