"""`unstuck diagnose`, `treat`, `demo` and `replay`: the commands that end with the report of a set-up."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import shlex
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Final

import unstuck
from unstuck.cli import runs
from unstuck.cli.arguments import DIAGNOSE_BUDGET, TREAT_BUDGET
from unstuck.cli.explaining import entry_of
from unstuck.cli.output import FirstLines, deliver, save_as, save_cure_as, say, write_html
from unstuck.cli.status import NOT_EXAMINED, NOTHING_FOUND, Refused, status_of
from unstuck.errors import TargetError, sentence
from unstuck.report import Report

if TYPE_CHECKING:
    from rich.console import Console

    from unstuck.setup import Setup

FAULT_NAMED: Final = 0
FAULT_MISSED: Final = 1


def _typed(options: argparse.Namespace, *words: str) -> str:
    """The command that does the same again."""
    budget = options.budget
    given = [] if budget is None else ["--budget", budget if isinstance(budget, str) else f"{budget:g}"]
    seed = [] if options.seed is None else ["--seed", str(options.seed)]
    return shlex.join(["unstuck", options.command, *words, *given, *seed])


def _budget(options: argparse.Namespace, otherwise: float) -> float | str:
    return otherwise if options.budget is None else options.budget


def _with_command(report: Report, command: str) -> Report:
    provenance = dataclasses.replace(report.provenance, command=command)
    return dataclasses.replace(report, provenance=provenance)


def _error_console() -> Console:
    from rich.console import Console

    return Console(file=sys.stderr)


def _seeded(setup: Setup, seed: int | None) -> Setup:
    return setup if seed is None else dataclasses.replace(setup, seed=seed)


def _finish(report: Report, options: argparse.Namespace, before: str = "", after: str = "") -> int:
    """Give a report out, with a remark before and after its text."""
    from unstuck.render.html import to_html
    from unstuck.render.lines import EMPTY, Line, clean, wrap
    from unstuck.render.machine import to_json
    from unstuck.render.page import page

    status = status_of(report)
    says_nothing = status == NOT_EXAMINED and not (report.findings or report.questions or report.ruled_out)

    def layout(width: int) -> list[Line]:
        if says_nothing:
            return []
        above = [*wrap([clean(before)], width), EMPTY] if before else []
        below = [EMPTY, *wrap([clean(after)], width)] if after else []
        return [*above, *page(report, width, options.verbose), *below]

    if status == NOT_EXAMINED:
        say(_reason(report))
    save_as(report, options.save)
    deliver(functools.partial(to_json, report), layout, options.json, options.plain)
    write_html(functools.partial(to_html, report), options.html)
    return status


def _examined(setup: Setup, options: argparse.Namespace, command: str) -> Report:
    from unstuck.cli.live import following

    with following(_error_console(), not options.plain) as listener, redirect_stdout(FirstLines(sys.stderr)):
        report = unstuck.diagnose(
            _seeded(setup, options.seed), budget=_budget(options, DIAGNOSE_BUDGET), progress=listener
        )
    return _with_command(report, command)


def diagnose(options: argparse.Namespace) -> int:
    """Examine a set-up.

    Args:
        options: What was typed.

    Returns:
        The exit status.
    """
    from unstuck.cli.target import load

    with redirect_stdout(sys.stderr):
        setup = load(options.target)
    return _finish(_examined(setup, options, _typed(options, options.target)), options)


@contextmanager
def _quietly() -> Iterator[None]:
    """What the user's code warns of, it warns of in every run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def treat(options: argparse.Namespace) -> int:
    """Cure a set-up of one cause after another.

    Args:
        options: What was typed.

    Returns:
        The exit status.
    """
    from unstuck.cli.live import following
    from unstuck.cli.target import load
    from unstuck.render.cure import cure_page
    from unstuck.render.html import cure_to_html
    from unstuck.render.machine import cure_to_json

    with redirect_stdout(sys.stderr):
        setup = load(options.target)
    with (
        following(_error_console(), not options.plain) as listener,
        redirect_stdout(FirstLines(sys.stderr)),
        _quietly(),
    ):
        cure = unstuck.treat(_seeded(setup, options.seed), budget=_budget(options, TREAT_BUDGET), progress=listener)
    command = _typed(options, options.target)
    cure = dataclasses.replace(cure, steps=tuple(_with_command(report, command) for report in cure.steps))
    status = status_of(cure.steps[0]) if cure.steps else NOTHING_FOUND
    if status == NOT_EXAMINED:
        say(_reason(cure.steps[0]))
    layout = functools.partial(cure_page, cure)
    save_cure_as(cure, options.save)
    deliver(functools.partial(cure_to_json, cure), layout, options.json, options.plain)
    write_html(functools.partial(cure_to_html, cure), options.html)
    return status


def demo(options: argparse.Namespace) -> int:
    """Examine the sick case of a rule.

    Args:
        options: What was typed.

    Returns:
        The exit status.

    Raises:
        Refused: If there is no such rule, or it has no case.
    """
    entry = entry_of(options.rule)
    from unstuck.rules import load

    rule = next((rule for rule in load() if rule.code == entry.code), None)
    if rule is None or not rule.cases:
        got = f"{entry.code}, which has none"
        raise Refused(sentence("A demo must have a sick case to show", got, "`unstuck rules` lists others."))
    with redirect_stdout(sys.stderr):
        setup = rule.cases[0].setup()
    report = _examined(setup, options, _typed(options, entry.code))
    named = report.cause.rule.code if report.cause else "no cause"
    before = f"A demo of {entry.code} {entry.name}. The patient: {rule.cases[0].patient}."
    after = f"The fault put in was {entry.code}; the diagnosis names {named}."
    status = _finish(report, options, before, after)
    if status == NOT_EXAMINED:
        return status
    return FAULT_NAMED if named == entry.code else FAULT_MISSED


def replay(options: argparse.Namespace) -> int:
    """Judge a saved report, or a recorded run, anew.

    Args:
        options: What was typed.

    Returns:
        The exit status.

    Raises:
        TargetError: If the file cannot be read.
        Refused: If it is no report.
    """
    from unstuck.render.machine import from_json

    if runs.is_record(options.report):
        return _finish(runs.judged(options.report), options)
    try:
        data = Path(options.report).read_bytes()
    except OSError as error:
        got = f"{options.report!r}: {error.strerror or error}"
        raise TargetError("REPORT.json must be a file that can be read", got, "Give its path.") from None
    try:
        report = from_json(data)
    except ValueError as error:
        raise Refused(str(error)) from None
    with redirect_stdout(sys.stderr):
        judged = unstuck.replay(report)
    return _finish(judged, options)


def _reason(report: Report) -> str:
    """Why a set-up could not be examined."""
    return report.error or f"{report.sentence} {' '.join(f'({note}.)' for note in report.notes)}".rstrip()
