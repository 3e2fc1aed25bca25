"""What can be typed: the commands, their options and their help."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Final, NoReturn

from unstuck import __version__
from unstuck.cli import export, init, language, read, run, runs, selecting, serve
from unstuck.cli.arguments import (
    DIAGNOSE_BUDGET,
    STANDARD_OUTPUT,
    TREAT_BUDGET,
    Formatter,
    budget,
    html_path,
    json_path,
    save_path,
)
from unstuck.languages import translated

INTRODUCTION: Final = """\
Finds out why a neural network fails to train or to generalise, and proves the
cure: it names the cause, prescribes the remedy, and shows by running it that
the remedy works."""

TARGETS: Final = """\
TARGET says where the training set-up is:
  path/file.py             the function `setup` in that file
  path/file.py:function    another function in it
  package.module:function  a function of an installed module
The function takes no argument and returns an `unstuck.Setup`."""

STATUS: Final = """\
Exit status: 0 nothing was found, 1 a cause was found, 2 it could not be
examined (the reason is on standard error), 130 stopped by a second Ctrl-C."""

DEMO_STATUS: Final = """\
Exit status: 0 the diagnosis names the fault that was put in, 1 it names another
or none, 2 it could not be examined (the reason is on standard error), 130
stopped by a second Ctrl-C."""

EXAMPLES: Final = """\
Examples:
  unstuck diagnose examples/digits_mlp.py
  unstuck diagnose train.py:make_setup --budget 3x --json report.json
  unstuck explain OPT001"""


class _Parser(argparse.ArgumentParser):
    """A parser that says on error where help is."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and leave with status 2."""
        where = translated(f"`{self.prog} --help` says what can be typed.")
        self.exit(2, f"unstuck: {translated(message)}\n{where}\n")


def with_json_bound(arguments: Sequence[str]) -> list[str]:
    """Bind to `--json` only a following path that ends in ".json".

    So `--json train.py` writes to standard output and examines train.py, and can never overwrite it.

    Args:
        arguments: As typed.

    Returns:
        The same with `--json=…` in one piece.
    """
    if list(arguments[:1]) in (["run"], ["init"]):
        return list(arguments)  # what follows is the script's
    bound: list[str] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if argument == "--":
            return [*bound, argument, *waiting]
        if argument == "--json":
            follows = waiting[0] if waiting else ""
            is_path = follows == STANDARD_OUTPUT or follows.lower().endswith(".json")
            argument = f"--json={waiting.pop(0) if is_path else STANDARD_OUTPUT}"
        bound.append(argument)
    return bound


def _add_subject(parser: argparse.ArgumentParser, name: str, shown: str, what: str) -> None:
    parser.add_argument_group("subject").add_argument(name, metavar=shown, help=what)


def _add_output(parser: argparse.ArgumentParser, what: str, has_html: bool) -> None:
    group = parser.add_argument_group("output")
    group.add_argument(
        "--json", nargs="?", const=STANDARD_OUTPUT, type=json_path, metavar="PATH",
        help=f"write {what} as JSON: to PATH, which ends in .json, and the text as usual; or, without PATH, to standard"
        " output instead of the text",
    )  # fmt: skip
    if has_html:
        group.add_argument(
            "--html", type=html_path, metavar="PATH",
            help=f"write {what} as one HTML page with pictures, for any browser, to PATH, which ends in .html",
        )  # fmt: skip
    group.add_argument("--plain", action="store_true", help="no colour and no progress, even on a terminal")


def _add_saving(parser: argparse.ArgumentParser, what: str = "the report", verbose: bool = True) -> None:
    group = parser.add_argument_group("report")
    group.add_argument(
        "--save", action="append", default=[], type=save_path, metavar="PATH",
        help=f"write {what} to PATH as well; its ending chooses the form: .html, .json, .txt, .md for pull"
        " requests, .sarif and .xml (JUnit) for CI. May be given several times",
    )  # fmt: skip
    if verbose:
        text = "print the number of each diagnosis that was ruled out"
        group.add_argument("--verbose", action="store_true", help=text)


def _add_examination(parser: argparse.ArgumentParser, seconds: float) -> None:
    group = parser.add_argument_group("examination")
    group.add_argument(
        "--budget", type=budget, metavar="SECONDS",
        help="time it may take: seconds, or 3x for three times one run of the set-up"
        f" (default: {seconds:g})",
    )  # fmt: skip
    group.add_argument("--seed", type=int, metavar="N", help="use seed N in place of the set-up's own")


def build() -> argparse.ArgumentParser:
    """The parser of the whole command line.

    Returns:
        A parser whose result has `command` and the options of that command.
    """
    parser = _Parser(
        prog="unstuck", usage="unstuck COMMAND ...", description=INTRODUCTION, formatter_class=Formatter,
        epilog=f"{TARGETS}\n\n{EXAMPLES}\n\n{STATUS}",
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"unstuck {__version__}")
    commands = parser.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", prog="unstuck", parser_class=_Parser
    )

    def add(name: str, brief: str, more: str, epilog: str = "") -> argparse.ArgumentParser:
        return commands.add_parser(name, help=brief, description=more, epilog=epilog, formatter_class=Formatter)

    diagnose = add(
        "diagnose", "find the cause and prove it",
        "Measures a training set-up, walks the guide, names the cause with its evidence,\n"
        "and proves it by a trial of the remedy. Ctrl-C ends it with what was found so\n"
        "far.",
        f"{TARGETS}\n\n{STATUS}",
    )  # fmt: skip
    _add_subject(diagnose, "target", "TARGET", "where the training set-up is, see below")
    treat = add(
        "treat", "cure one cause after another",
        "Treats the cause, examines again, and goes on until the set-up is well or no\n"
        "remedy helps. Shows each change and the loss before and after.",
        f"{TARGETS}\n\n{STATUS}",
    )  # fmt: skip
    _add_subject(treat, "target", "TARGET", "where the training set-up is, see below")
    rules = add("rules", "list the diagnoses", "Lists every diagnosis there is.")
    explain = add(
        "explain", "say what a diagnosis means",
        "Says what a diagnosis checks, why it hurts, how it is measured, what mends it,\n"
        "and when to leave it.",
    )  # fmt: skip
    _add_subject(explain, "rule", "RULE", "a code or a name: OPT001, learning-rate-too-high")
    demo = add(
        "demo", "show a diagnosis at work",
        "Puts the fault of a diagnosis into a small healthy set-up and examines it.",
        DEMO_STATUS,
    )  # fmt: skip
    _add_subject(demo, "rule", "RULE", "a code or a name: OPT001, learning-rate-too-high")
    replay = add(
        "replay", "judge a saved report or a recorded run",
        "Judges the measurements kept in a report, or a run that `unstuck.watch` has\n"
        "recorded, with the rules of this version; nothing is trained.",
        STATUS,
    )  # fmt: skip
    _add_subject(replay, "report", "FILE", "what `unstuck diagnose --json` wrote, or a record (.unstuck)")
    run.add(commands)
    init.add(commands)
    reading = read.add(commands)
    select = selecting.add(commands)
    listing = runs.add(commands)
    export.add(commands)
    for command in (diagnose, demo):
        _add_examination(command, DIAGNOSE_BUDGET)
    _add_examination(treat, TREAT_BUDGET)
    serve.add(commands)
    for command in (diagnose, demo, replay, reading):
        _add_saving(command)
    _add_saving(treat, "the cure", verbose=False)
    for command, what in (
        (diagnose, "the report"), (treat, "the cure"), (rules, "the list"), (explain, "the explanation"),
        (demo, "the report"), (replay, "the new report"), (reading, "the report"), (listing, "the list"),
        (select, "the choice"),
    ):  # fmt: skip
        _add_output(command, what, has_html=command in (diagnose, treat, demo, replay))
    for each in (parser, *commands.choices.values()):
        language.add(each)
    return parser
