"""`unstuck export`: the record of a run, written for another tool."""

from __future__ import annotations

import argparse
from typing import Any, Final

from unstuck.cli.arguments import Formatter

WRITTEN: Final = 0

TARGETS: Final = ("csv", "parquet", "tensorboard", "wandb", "mlflow")

DESCRIPTION: Final = """\
Writes the record of a run (RUN.unstuck) as a CSV or Parquet file, TensorBoard
event files, an offline run of Weights & Biases, or into an MLflow database.
Nothing is sent anywhere."""

EPILOG: Final = """\
All but csv need a package of their own: pip install 'unstuck[tensorboard]',
'unstuck[parquet]', 'unstuck[wandb]' or 'unstuck[mlflow]'.

Exit status: 0 written, 2 it could not be (the reason is on standard error)."""


def add(commands: Any) -> None:
    """Add the command.

    Args:
        commands: The subparsers.
    """
    parser = commands.add_parser(
        "export", help="write the record of a run for another tool", description=DESCRIPTION, epilog=EPILOG,
        formatter_class=Formatter,
    )  # fmt: skip
    group = parser.add_argument_group("subject")
    group.add_argument("record", metavar="RUN", help="the record, a file that ends in .unstuck")
    group.add_argument("path", metavar="PATH", help="a file for csv and parquet, else a folder")
    group.add_argument("--to", required=True, choices=TARGETS, metavar="FORMAT", help=", ".join(TARGETS))


def run(options: argparse.Namespace) -> int:
    """Write it.

    Args:
        options: As parsed.

    Returns:
        The exit status.
    """
    from unstuck.exports import export

    export(options.record, options.to, options.path)
    return WRITTEN
