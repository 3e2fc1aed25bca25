"""`unstuck run`: a script, unchanged, observed and then examined."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from unstuck.cli.arguments import DIAGNOSE_BUDGET, Formatter, budget, save_path
from unstuck.cli.output import FirstLines, save_as, say

if TYPE_CHECKING:
    from unstuck.capture.recovered import Recovered
    from unstuck.report import Report

DESCRIPTION: Final = """\
Runs a training script as `python SCRIPT` would, and looks on: which model is
trained, with what loss, optimizer and data. When the script has ended, or after
--steps or --minutes, that set-up is examined as by `unstuck diagnose`. The
script's output and results are what they are without `unstuck`; messages and
the report go to standard error, or to --report."""

STATUS: Final = """\
Exit status: the script's own, whatever is found; 0 where it was ended by
--steps or --minutes, 2 where there is no such script."""


def add(commands: Any) -> argparse.ArgumentParser:
    """Add the command to the parser.

    Args:
        commands: What `add_subparsers` gave.

    Returns:
        The command's own parser.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        "run", help="run any training script, unchanged, and examine it",
        usage="unstuck run [OPTIONS] SCRIPT [ARGUMENTS ...]\n       unstuck run [OPTIONS] -m MODULE [ARGUMENTS ...]",
        description=DESCRIPTION, epilog=STATUS, formatter_class=Formatter,
    )  # fmt: skip
    subject = parser.add_argument_group("subject")
    subject.add_argument("script", metavar="SCRIPT", help="a Python file; with -m, the name of a module")
    subject.add_argument("arguments", metavar="ARGUMENTS", nargs=argparse.REMAINDER, help="the script's own")
    subject.add_argument("-m", dest="module", action="store_true", help="SCRIPT is a module, as for `python -m`")
    running = parser.add_argument_group("running")
    running.add_argument("--steps", type=count, metavar="N", help="end the script after N optimizer steps")
    running.add_argument("--minutes", type=_duration, metavar="N", help="end the script after N minutes")
    examination = parser.add_argument_group("examination")
    examination.add_argument("--observe-only", action="store_true", help="only say what was seen; train nothing")
    examination.add_argument(
        "--budget", type=budget, metavar="SECONDS",
        help="time it may take: seconds, or 3x for three times one run of the set-up"
        f" (default: {DIAGNOSE_BUDGET:g})",
    )  # fmt: skip
    output = parser.add_argument_group("output")
    output.add_argument(
        "--report",
        type=save_path,
        metavar="PATH",
        help="write the report to PATH; its ending chooses the form: .html, .json, .txt, .md, .sarif or .xml",
    )
    output.add_argument("--plain", action="store_true", help="no colour and no progress, even on a terminal")
    return parser


def count(text: str) -> int:
    """Read a number of steps.

    Args:
        text: Such as "100".

    Returns:
        The number.

    Raises:
        argparse.ArgumentTypeError: If it is not a whole number of at least 1.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1; got {text!r}")
    return int(text)


def _duration(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0; got {text!r}")
    return value


def run(options: argparse.Namespace) -> int:
    """Run a script and examine what it trains.

    Args:
        options: As typed.

    Returns:
        The script's exit status.
    """
    from unstuck.capture import script as scripts
    from unstuck.capture.observer import Observer
    from unstuck.capture.rebuilding import recover
    from unstuck.capture.running import run as run_script

    find = scripts.module if options.module else scripts.script
    report_path = Path(options.report).absolute() if options.report else None  # the script may change the folder
    try:
        program = find(options.script, options.arguments)
    except SyntaxError as error:
        sys.excepthook(type(error), error.with_traceback(None), None)
        return 1
    observer = Observer(options.steps, options.minutes)
    with scripts.as_main(program):
        ending = run_script(program, observer)
        recovered = recover(observer, ending.finished)
        _tell(recovered, observer, ending.reason)
        report = None
        if recovered.setup is not None and not options.observe_only:
            report = _examined(recovered.setup, options)
    if report is not None:
        _deliver(report, report_path, options.plain)
    else:
        _judge_curves(observer, options, report_path, ending.finished, recovered.setup is not None)
    return ending.status


def _judge_curves(
    observer: Any, options: argparse.Namespace, path: Path | None, finished: bool, could_examine: bool
) -> None:
    """Judge what was seen by its curves alone, where nothing is to be examined, or nothing can be."""
    from unstuck.capture.logged import logged
    from unstuck.curves import judge_run

    runs = logged(observer, Path(options.script), finished)
    for run in runs:
        report = judge_run(run, command=_typed(options))
        notes = tuple(each for each in report.notes if "--map" not in each)  # there is no log to map
        report = dataclasses.replace(report, notes=notes)
        if len(runs) > 1:
            values = run.columns["loss"].values
            say(f"{run.name}: loss {values[0]:.4g} → {values[-1]:.4g} over {len(values)} steps")
            # Losses that work against each other need not fall; that they are numbers is all that can be asked.
            found = tuple(each for each in report.findings if each.rule.code == "OPT020")
            report = dataclasses.replace(report, findings=found)
            to = None if path is None else path.with_name(f"{path.stem}-{run.name}{path.suffix}")
        else:
            to = path
        if report.findings or to is not None:
            _deliver(report, to, options.plain)
        elif len(runs) == 1:
            say("the curves show no fault; most faults do not show in curves")
    if could_examine:
        say("without --observe-only, the set-up is examined")


def _tell(recovered: Recovered, observer: Any, reason: str) -> None:
    """Say what was seen."""
    from unstuck.render.lines import cells, clean, pad

    ended = f", {reason}" if reason else ""
    sys.stderr.write("\n")
    say(f"{observer.steps} optimizer steps{ended}")
    width = max((cells(clean(part.name)) for part in recovered.parts), default=0)
    for part in recovered.parts:
        where = f"  ({part.line})" if part.line else ""
        sys.stderr.write(f"  {pad(part.name, width)}  {clean(part.what, 200)}{where}\n")
    for note in recovered.notes:
        sys.stderr.write(f"  {clean(f'note: {note}', 400)}\n")
    for missing in recovered.missing:
        say(f"not recovered: {missing}")


def _examined(setup: Any, options: argparse.Namespace) -> Report:
    from contextlib import redirect_stdout

    from rich.console import Console

    import unstuck
    from unstuck.cli.live import following

    limit = DIAGNOSE_BUDGET if options.budget is None else options.budget
    say(f"examining it, for at most {limit if isinstance(limit, str) else f'{limit:g} s'} …")
    with (
        following(Console(file=sys.stderr), not options.plain) as listener,
        redirect_stdout(FirstLines(sys.stderr)),
    ):
        report = unstuck.diagnose(setup, budget=limit, progress=listener)
    return dataclasses.replace(report, provenance=dataclasses.replace(report.provenance, command=_typed(options)))


def _typed(options: argparse.Namespace) -> str:
    module = ["-m"] if options.module else []
    return shlex.join(["unstuck", "run", *module, options.script, *options.arguments])


def _deliver(report: Report, path: Path | None, plain: bool) -> None:
    from unstuck.render.page import page
    from unstuck.render.text import WIDTH, plain_lines, print_lines, width_of

    if path is not None:
        save_as(report, [str(path)], "--report")
        say(f"{report.sentence} ({path.name})")
        return
    if plain or not sys.stderr.isatty():
        sys.stderr.write("\n" + plain_lines(page(report, WIDTH)))
        return
    from rich.console import Console

    console = Console(file=sys.stderr)
    print_lines(page(report, width_of(console)), console)
