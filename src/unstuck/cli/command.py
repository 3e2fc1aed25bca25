"""The commands, and how each ends: with a status, and with a message where it could not do its work."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from unstuck.cli import examining, explaining, export, init, language, read, run, runs, selecting, serve
from unstuck.cli import parser as command_line
from unstuck.cli.output import say, survive_any_encoding
from unstuck.cli.status import NOT_EXAMINED, Refused
from unstuck.errors import UnstuckError, sentence
from unstuck.languages import use

STOPPED: Final = 130
PIPE_CLOSED: Final = 141

COMMANDS: Final[Mapping[str, Callable[[argparse.Namespace], int]]] = {
    "diagnose": examining.diagnose,
    "treat": examining.treat,
    "rules": explaining.list_rules,
    "explain": explaining.explain,
    "demo": examining.demo,
    "replay": examining.replay,
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
    with use(language.asked(typed, sys.stdout)):
        return _run(typed)


def _run(typed: Sequence[str]) -> int:
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
