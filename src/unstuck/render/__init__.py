"""Pure functions of a `Report`: text, HTML, and what other programs read. Nothing here imports torch or measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from unstuck.errors import sentence
from unstuck.report import Report


def _json(report: Report) -> bytes:
    from unstuck.render import machine

    return machine.to_json(report)


def _text(report: Report) -> bytes:
    from unstuck.render import text

    return text.plain(report, every_number=True).encode("utf-8", "replace")


def _markdown(report: Report) -> bytes:
    from unstuck.render import pull_request

    return pull_request.to_markdown(report).encode("utf-8", "replace")


def _sarif(report: Report) -> bytes:
    from unstuck.render import sarif

    return sarif.to_sarif(report)


def _junit(report: Report) -> bytes:
    from unstuck.render import junit

    return junit.to_junit(report)


def _html(report: Report) -> bytes:
    from unstuck.render import html

    return html.to_html(report).encode("utf-8", "replace")


FORMS: Final[Mapping[str, Callable[[Report], bytes]]] = {
    ".html": _html,
    ".json": _json,
    ".txt": _text,
    ".md": _markdown,
    ".sarif": _sarif,
    ".xml": _junit,
}
"""Ending of a file → what writes that form; each is imported when it is first asked for."""

ENDINGS: Final = tuple(FORMS)


def save(report: Report, path: str | Path) -> None:
    """Write a report; the ending of `path` chooses the form.

    Args:
        report: The report.
        path: Ends in ".html", ".json", ".txt", ".md" (for pull requests), ".sarif" or ".xml" (JUnit), in any case.

    Raises:
        ValueError: If the ending is another one.
    """
    Path(path).write_bytes(FORMS[ending_of(path)](report))


def ending_of(path: str | Path) -> str:
    """The ending of a file, which chooses the form.

    Args:
        path: Of the file.

    Returns:
        One of `ENDINGS`.

    Raises:
        ValueError: If it is another one.
    """
    ending = Path(path).suffix.lower()
    if ending not in ENDINGS:
        must = f"A report's file must end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"
        got = f"{str(path)!r}, which ends in {ending!r}" if ending else f"{str(path)!r}, without an ending"
        do = "Choose one of these endings."
        raise ValueError(sentence(must, got, do))
    return ending


__all__ = ["ENDINGS", "FORMS", "ending_of", "save"]
