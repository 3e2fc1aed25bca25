"""What the commands' arguments have in common: how they are read, and how help is laid out."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Final

from unstuck.render import ENDINGS

WIDTH: Final = 80
STANDARD_OUTPUT: Final = "-"
DIAGNOSE_BUDGET: Final = 60.0
TREAT_BUDGET: Final = 120.0


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Help at 80 columns whatever the terminal, its paragraphs as they were written."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=WIDTH)


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
