"""`unstuck init`: a `setup()` file, written from a few steps of a script."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Final

from unstuck.cli.arguments import Formatter
from unstuck.cli.output import say
from unstuck.cli.run import count

STEPS: Final = 3
WRITTEN: Final = 0
TO_DO: Final = 1
NO_FILE: Final = 2

DESCRIPTION: Final = """\
Runs a few steps of a training script, looks on as `unstuck run` does, and
writes a Python file with a function `setup` that makes the same model,
optimizer, loss and data out of the script's own lines. `unstuck diagnose FILE`
examines it; keep it and change it. What cannot be told from the script is left
as a line that says what is needed; a scheduler and other splits show only where
a step that is seen uses them. The options come before SCRIPT."""

STATUS: Final = """\
Exit status: 0 the file is complete, 1 it holds lines to fill in, 2 it could not
be written."""


def add(commands: Any) -> argparse.ArgumentParser:
    """Add the command to the parser.

    Args:
        commands: What `add_subparsers` gave.

    Returns:
        The command's own parser.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        "init", help="write a set-up file from a training script",
        usage="unstuck init [OPTIONS] SCRIPT [ARGUMENTS ...]",
        description=DESCRIPTION, epilog=STATUS, formatter_class=Formatter,
    )  # fmt: skip
    subject = parser.add_argument_group("subject")
    subject.add_argument("script", metavar="SCRIPT", help="a Python file")
    subject.add_argument("arguments", metavar="ARGUMENTS", nargs=argparse.REMAINDER, help="the script's own")
    parser.add_argument_group("running").add_argument(
        "--steps", type=count, default=STEPS, metavar="N", help=f"end the script after N steps (default: {STEPS})"
    )
    parser.add_argument_group("output").add_argument(
        "-o", "--output", metavar="FILE", help="where to write (default: SCRIPT_setup.py next to SCRIPT)"
    )
    return parser


def run(options: argparse.Namespace) -> int:
    """Write the file.

    Args:
        options: As typed.

    Returns:
        0 where it is complete, 1 where it holds lines to fill in.

    Raises:
        TargetError: If there is no such script, or the file is there already or cannot be written.
    """
    from unstuck.capture import script as scripts
    from unstuck.capture.observer import Observer
    from unstuck.capture.rebuilding import recover
    from unstuck.capture.recorded_script import recording_of
    from unstuck.capture.running import run as run_script
    from unstuck.capture.writing import written
    from unstuck.errors import TargetError
    from unstuck.languages import translated

    script = Path(options.script).absolute()
    path = Path(options.output).absolute() if options.output else script.with_name(f"{script.stem}_setup.py")
    if path.exists():
        raise TargetError("`init` must not overwrite a file", f"{str(path)!r}, which exists", "Name another with -o.")
    if not script.is_file():
        raise TargetError("SCRIPT must be a Python file", f"{options.script!r}", "Give its path.")
    try:
        program = scripts.script(options.script, options.arguments)
    except SyntaxError as error:
        sys.excepthook(type(error), error.with_traceback(None), None)
        return NO_FILE
    observer = Observer(options.steps)
    with scripts.as_main(program):
        ending = run_script(program, observer)
        recovered = recover(observer, ending.finished)
    if not observer.steps:
        say("the script took no optimizer step, so there is nothing to write.")
        return NO_FILE
    recording = recording_of(observer, recovered, script, tuple(options.arguments), ending.finished)
    file = written(recording, translated)
    try:
        path.write_text(file.text, encoding="utf-8")
    except OSError as error:
        got = f"{str(path)!r}: {error.strerror or error}"
        raise TargetError("`init` must be able to write its file", got, "Name another with -o.") from None
    shown = options.output or str(Path(options.script).with_name(path.name))
    if file.todo:
        say(f"to do in {path.name}:")
        sys.stderr.writelines(f"  {each}\n" for each in file.todo)
    say(f"wrote {shown}" + ("" if file.todo else f"; `unstuck diagnose {shown}` examines it"))
    return TO_DO if file.todo else WRITTEN
