"""Which language the command line speaks, known before the help is laid out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Final, TextIO

from unstuck.languages import ENGLISH, LANGUAGES, current, marked

OPTION: Final = "--lang"
OF_SCRIPTS: Final = ("run", "init")

ARGPARSE: Final = (
    marked("usage: "),
    marked("options"),
    marked("positional arguments"),
    marked("show this help message and exit"),
    marked("show program's version number and exit"),
    marked("the following arguments are required: {0}"),
    marked("argument {0}: {1}"),
    marked("invalid choice: {0} (choose from {1})"),
    marked("invalid {0} value: {1}"),
    marked("unrecognized arguments: {0}"),
    marked("expected one argument"),
    marked("expected at least one argument"),
    marked("ignored explicit argument {0}"),
)
"""What argparse itself says."""


def add(parser: argparse.ArgumentParser) -> None:
    """Give a command the option.

    Args:
        parser: Of the command.
    """
    parser.add_argument(
        OPTION, choices=tuple(LANGUAGES), metavar="LANGUAGE",
        help="language of what is read: en, zh (default: that of the environment: UNSTUCK_LANG, LC_ALL, LC_MESSAGES,"
        " LANG)",
    )  # fmt: skip


def asked(arguments: Sequence[str], stream: TextIO) -> str:
    """The language that was asked for.

    Args:
        arguments: As typed; what follows the name of a script is the script's own.
        stream: Where the answer is printed; the environment asks for nothing that cannot be written there.

    Returns:
        A code of `LANGUAGES`.
    """
    is_of_script = list(arguments[:1]) in [[name] for name in OF_SCRIPTS]
    for index, argument in enumerate(arguments):
        if argument == "--" or (is_of_script and (argument == "-m" or argument.endswith(".py"))):
            break
        name, _, value = argument.partition("=")
        if name == OPTION:
            given = value or next(iter(arguments[index + 1 :]), "")
            if given in LANGUAGES:
                return given
    language = current()
    return language if language == ENGLISH or _can_write(LANGUAGES[language], stream) else ENGLISH


def _can_write(text: str, stream: TextIO) -> bool:
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
