"""`unstuck serve`: the live page of a folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unstuck.cli.arguments import Formatter
from unstuck.errors import TargetError
from unstuck.languages import translated

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[Any]

DESCRIPTION = """\
Shows the runs that are being recorded in FOLDER as they go, and the reports
saved there, in the browser. Only this machine can open it, with the address
that it prints. Files are only read."""


def port(text: str) -> int:
    """Read a port.

    Args:
        text: A number from 0, for any that is free, to 65535.

    Returns:
        The number.

    Raises:
        argparse.ArgumentTypeError: If it is none.
    """
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 65535; got {text!r}")
    return int(text)


def add(commands: Commands) -> None:
    """Add the command to the parser.

    Args:
        commands: Where the commands are added.
    """
    parser = commands.add_parser(
        "serve", help="show runs and reports in the browser", description=DESCRIPTION, formatter_class=Formatter
    )
    parser.add_argument("folder", nargs="?", default=".", metavar="FOLDER", help="what is shown (default: this folder)")
    parser.add_argument("--port", type=port, metavar="N", help="the port (default: 8650, or any where that is taken)")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.add_argument("--no-token", action="store_true", help="let every user of this machine in who knows the port")


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C.

    Args:
        options: As parsed.

    Returns:
        The exit status, 0.

    Raises:
        TargetError: If there is no such folder, the port is taken, or what it needs is not installed.
    """
    folder = Path(options.folder)
    if not folder.is_dir():
        raise TargetError("FOLDER must be a folder", repr(options.folder), "Give the path of one.")
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        do = "Run `pip install 'unstuck[serve]'`."
        raise TargetError(
            "`unstuck serve` needs starlette and uvicorn", f"an environment without {error.name}", do
        ) from None
    from unstuck.serving import serve

    def announce(address: str) -> None:
        print(translated(f"{folder.resolve()} is shown at\n  {address}\nCtrl-C ends it."), flush=True)
        if options.open:
            import webbrowser

            webbrowser.open(address)

    try:
        serve(folder, options.port, not options.no_token, announce)
    except KeyboardInterrupt:  # the way to end it
        pass
    except OSError as error:
        got = f"{options.port}: {error.strerror or error}"
        raise TargetError("The port must be free", got, "Choose another with `--port`, or 0 for any.") from None
    return 0
