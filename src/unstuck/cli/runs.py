"""`unstuck list`: the recorded runs of a folder; and `unstuck replay` of one of them."""

from __future__ import annotations

import argparse
import contextlib
import functools
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from unstuck.cli.arguments import Formatter
from unstuck.cli.output import deliver, say

if TYPE_CHECKING:
    from unstuck.recording import RunInfo
    from unstuck.render.lines import Line
    from unstuck.report import Report

FOLDER: Final = "unstuck-runs"


def add(commands: Any) -> argparse.ArgumentParser:
    """Add the command to the parser.

    Args:
        commands: What `add_subparsers` gave.

    Returns:
        The command's own parser.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        "list", help="list the recorded runs of a folder",
        description="Lists the runs that `unstuck.watch` has recorded.", formatter_class=Formatter,
    )  # fmt: skip
    parser.add_argument_group("subject").add_argument(
        "folder", metavar="FOLDER", nargs="?", default=FOLDER, help=f"where they are (default: {FOLDER})"
    )
    return parser


def run(options: argparse.Namespace) -> int:
    """List the runs of a folder, the oldest first.

    Args:
        options: With `folder`, `json` and `plain`.

    Returns:
        The exit status: 0, or 2 where there is none.
    """
    from unstuck.recording import records_in
    from unstuck.render.machine import rows_to_json

    infos, broken = records_in(options.folder)
    rows = [_row(info) for info in infos]
    deliver(
        functools.partial(rows_to_json, rows), functools.partial(_page, rows), options.json, options.plain
    )  # fmt: skip
    for sentence in broken:
        say(sentence)
    if not rows and not broken:
        say(f"there is no recorded run in {str(options.folder)!r}.")
    return 0 if rows else 2


def is_record(path: str) -> bool:
    """Whether a path is that of a record."""
    from unstuck import recording

    return Path(path).suffix == recording.schema.SUFFIX or recording.is_record(path)


def judged(path: str) -> Report:
    """The report on a record."""
    from unstuck.recorded import judge_record
    from unstuck.recording import open_record

    with open_record(path) as record:
        return judge_record(record)


def _row(info: RunInfo) -> dict[str, Any]:
    from unstuck.recording import open_record

    last = math.nan
    findings: tuple[str, ...] = ()
    with contextlib.suppress(Exception), open_record(info.path) as record:
        losses = record.series("loss", since=max(-1, info.last_step - 1))
        last = float(losses.last[-1]) if len(losses) else math.nan
        findings = tuple(dict.fromkeys(notice.code for notice in record.notices()))
    return {
        "run": info.path.name,
        "name": info.name,
        "status": info.status,
        "begun": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(info.created)),
        "seconds": round((info.ended or info.heartbeat) - info.created, 3),
        "steps": info.last_step + 1,
        "loss": last if math.isfinite(last) else None,
        "findings": list(findings),
        "error": info.error,
        "path": str(info.path),
    }


def _page(rows: list[dict[str, Any]], width: int) -> list[Line]:
    from unstuck.render.lines import clean, wrap

    lines: list[Line] = []
    for row in rows:
        loss = "loss unknown" if row["loss"] is None else f"loss {row['loss']:.4g}"
        found = f", {' '.join(row['findings'])}" if row["findings"] else ""
        lines += wrap([clean(str(row["run"]))], width)
        told = f"{row['status']}, {row['steps']} steps in {_lasting(row['seconds'])}, {loss}{found}"
        lines += wrap([clean(told)], width, "    ", "      ")
        if row["error"]:
            lines += wrap([clean(row["error"])], width, "    ", "      ")
    return lines


def _lasting(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes = seconds / 60
    return f"{minutes:.3g} min" if minutes < 120 else f"{minutes / 60:.3g} h"
