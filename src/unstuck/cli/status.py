"""How a command ends: its exit status, or why it was refused."""

from __future__ import annotations

from typing import Final

from unstuck.report import Report, Status

NOTHING_FOUND: Final = 0
CAUSE_FOUND: Final = 1
NOT_EXAMINED: Final = 2


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
