"""`unstuck read`: what the logs of earlier runs show."""

from __future__ import annotations

import argparse
import functools
import shlex
from typing import TYPE_CHECKING, Any, Final

from unstuck.cli.arguments import Formatter
from unstuck.errors import LogError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unstuck.logs import RunComparison
    from unstuck.render.lines import Line
    from unstuck.report import Report

NOTHING_FOUND: Final = 0
SUSPICION: Final = 1

DESCRIPTION: Final = """\
Judges runs by the logs that they left, without running anything: TensorBoard
event files, CSV (Lightning, Keras), JSON lines, Parquet, Hugging Face's
trainer_state.json, Weights & Biases' local runs, MLflow's local stores. What is
found is suspected, not proven. Several runs are compared."""

EPILOG: Final = """\
Which column is which is guessed from the names and said in the report. Keys of
--map: loss, validation_loss, training_metric, metric, rate, gradient_norm.

Exit status: 0 the curves show no fault, 1 they raise a suspicion, 2 nothing
could be read (the reason is on standard error)."""


def add(commands: Any) -> argparse.ArgumentParser:
    """Add the command.

    Args:
        commands: The subparsers.

    Returns:
        Its parser, to which options of the output are added.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        "read", help="judge runs by the logs that they left", description=DESCRIPTION, epilog=EPILOG,
        formatter_class=Formatter,
    )  # fmt: skip
    parser.add_argument_group("subject").add_argument(
        "paths", metavar="PATH", nargs="+", help="a file, or a folder that is searched for logs"
    )
    group = parser.add_argument_group("reading")
    group.add_argument(
        "--map", action="append", default=[], metavar="KEY=COLUMN",
        help="which column is which, such as loss=train/loss; KEY= for none",
    )  # fmt: skip
    group.add_argument(
        "--classes", type=_classes, default=0, metavar="N",
        help="the loss is a cross-entropy over N classes, so guessing costs log N",
    )  # fmt: skip
    return parser


def _classes(text: str) -> int:
    if not text.isdigit() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"must be a whole number from 2 on; got {text!r}")
    return int(text)


def mapping_of(pairs: Sequence[str]) -> dict[str, str]:
    """Read what was typed after `--map`.

    Args:
        pairs: Such as "loss=train/loss".

    Returns:
        Key → column.

    Raises:
        LogError: If one is no such pair.
    """
    found = {}
    for pair in pairs:
        key, equals, column = pair.partition("=")
        if not equals:
            raise LogError("`--map` must be KEY=COLUMN", repr(pair), "Write it as loss=train/loss.")
        found[key.strip()] = column.strip()
    return found


def run(options: argparse.Namespace) -> int:
    """Read, judge, compare and print.

    Args:
        options: As parsed.

    Returns:
        The exit status.

    Raises:
        LogError: If nothing can be read, or one report is to be saved of several runs.
    """
    from unstuck.logs import compare, read

    runs = read(options.paths, mapping_of(options.map))
    from unstuck.curves import judge_run  # it loads torch, which a path that cannot be read does not need

    if options.save and len(runs) > 1:
        got = f"{len(runs)} runs in {' '.join(options.paths)}"
        raise LogError("`--save` must be used with one run", got, "Name one, or use --json.")
    reports = [(run.name, judge_run(run, options.classes, _typed(options))) for run in runs]
    status = SUSPICION if any(report.findings for _, report in reports) else NOTHING_FOUND
    if len(reports) == 1:
        _deliver_one(reports[0][1], options)
    else:
        _deliver_all(compare(runs), reports, options)
    return status


def _deliver_one(report: Report, options: argparse.Namespace) -> None:
    from unstuck.cli.output import deliver, save_as
    from unstuck.render.machine import to_json
    from unstuck.render.page import page

    save_as(report, options.save)
    layout = functools.partial(page, report, every_number=options.verbose)
    deliver(functools.partial(to_json, report), layout, options.json, options.plain)


def _deliver_all(comparison: RunComparison, reports: list[tuple[str, Report]], options: argparse.Namespace) -> None:
    from unstuck.cli.output import deliver
    from unstuck.render.machine import comparison_to_json
    from unstuck.render.runs import runs_page

    def layout(width: int) -> list[Line]:
        return runs_page(comparison, reports, width)

    deliver(functools.partial(comparison_to_json, comparison, reports), layout, options.json, options.plain)


def _typed(options: argparse.Namespace) -> str:
    maps = [part for pair in options.map for part in ("--map", pair)]
    classes = ["--classes", str(options.classes)] if options.classes else []
    return shlex.join(["unstuck", "read", *options.paths, *maps, *classes])
