"""The commands, and how each ends: with a status, and with a message where it could not do its work."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import os
import shlex
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Final

import unstuck
from unstuck import catalogue
from unstuck.cli import export, init, read, run, runs, selecting, serve
from unstuck.cli import parser as command_line
from unstuck.cli.arguments import DIAGNOSE_BUDGET, TREAT_BUDGET
from unstuck.cli.output import FirstLines, deliver, save_as, say, survive_any_encoding, write_html
from unstuck.errors import TargetError, UnstuckError, sentence
from unstuck.report import Report, Status

if TYPE_CHECKING:
    from rich.console import Console

    from unstuck.setup import Setup

NOTHING_FOUND: Final = 0
CAUSE_FOUND: Final = 1
NOT_EXAMINED: Final = 2
FAULT_NAMED: Final = 0
FAULT_MISSED: Final = 1
STOPPED: Final = 130
PIPE_CLOSED: Final = 141


class Refused(Exception):
    """What was typed cannot be done; the message says why."""


def status_of(report: Report) -> int:
    """The exit status that a report stands for.

    Args:
        report: The report.

    Returns:
        2 where an error ended it before a cause was confirmed, or the time was up before anything could be said; else
        1 where anything was found, or 0.
    """
    confirmed = any(finding.status is Status.CONFIRMED for finding in report.findings)
    if report.error and not confirmed:
        return NOT_EXAMINED
    if not (report.complete or report.questions or report.findings):
        return NOT_EXAMINED
    return CAUSE_FOUND if report.findings else NOTHING_FOUND


def _reason(report: Report) -> str:
    """Why a set-up could not be examined."""
    return report.error or f"{report.sentence} {' '.join(f'({note}.)' for note in report.notes)}".rstrip()


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


def _diagnose(options: argparse.Namespace) -> int:
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


def _treat(options: argparse.Namespace) -> int:
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
    deliver(functools.partial(cure_to_json, cure), layout, options.json, options.plain)
    write_html(functools.partial(cure_to_html, cure), options.html)
    return status


def _entries() -> tuple[catalogue.Entry, ...]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = catalogue.entries()
    for warning in caught:
        say(str(warning.message))
    return found


def _entry(code_or_name: str) -> catalogue.Entry:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return catalogue.entry(code_or_name)
    except LookupError as error:
        raise Refused(str(error)) from None


def _rules(options: argparse.Namespace) -> int:
    from unstuck.render.machine import rows_to_json
    from unstuck.render.rules import rules_page

    entries = _entries()
    rows = [{"code": entry.code, "name": entry.name, "title": entry.title} for entry in entries]
    layout = functools.partial(rules_page, entries)
    deliver(functools.partial(rows_to_json, rows), layout, options.json, options.plain)
    return NOTHING_FOUND


def _explain(options: argparse.Namespace) -> int:
    from unstuck.render.machine import rows_to_json
    from unstuck.render.rules import explain_page

    entry = _entry(options.rule)
    row = {"code": entry.code, "name": entry.name, "title": entry.title, "sections": dict(entry.sections)}
    layout = functools.partial(explain_page, entry)
    deliver(functools.partial(rows_to_json, row), layout, options.json, options.plain)
    return NOTHING_FOUND


def _demo(options: argparse.Namespace) -> int:
    entry = _entry(options.rule)
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


def _replay(options: argparse.Namespace) -> int:
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


COMMANDS: Final[Mapping[str, Callable[[argparse.Namespace], int]]] = {
    "diagnose": _diagnose,
    "treat": _treat,
    "rules": _rules,
    "explain": _explain,
    "demo": _demo,
    "replay": _replay,
    "run": run.run,
    "init": init.run,
    "read": read.run,
    "export": export.run,
    "serve": serve.run,
    "list": runs.run,
    "select": selecting.run,
}


def _own_fault(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    got = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}: {error}"
    return sentence("`unstuck` must not fail by itself", got, "Please report it; UNSTUCK_TRACEBACK=1 shows all of it.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: What was typed after `unstuck`; that of the process where None.

    Returns:
        The exit status: 0 nothing found, 1 a cause found, 2 not examined, 130 stopped.
    """
    survive_any_encoding()
    typed = command_line.with_json_bound(sys.argv[1:] if arguments is None else arguments)
    parser = command_line.build()
    options = parser.parse_args(typed)
    if options.command is None:
        parser.print_help()
        return NOT_EXAMINED
    try:
        status = COMMANDS[options.command](options)
        sys.stdout.flush()
        return status
    except (UnstuckError, Refused) as error:
        say(str(error))
        return NOT_EXAMINED
    except KeyboardInterrupt:
        say("stopped.")
        return STOPPED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except Exception as error:
        if os.environ.get("UNSTUCK_TRACEBACK"):
            raise
        say(_own_fault(error))
        return NOT_EXAMINED
