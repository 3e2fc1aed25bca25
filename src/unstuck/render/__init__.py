"""Pure functions of a `Report`: text, HTML and JSON. Nothing here imports torch or measures anything."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from unstuck.errors import sentence
from unstuck.report import Report

ENDINGS: Final = (".html", ".json", ".txt")


def save(report: Report, path: str | Path) -> None:
    """Write a report; the ending of `path` chooses the form.

    Args:
        report: The report.
        path: Ends in ".html", ".json" or ".txt", in capitals or not.

    Raises:
        ValueError: If the ending is another one.
    """
    from unstuck.render import machine, text

    target = Path(path)
    ending = target.suffix.lower()
    if ending == ".json":
        target.write_bytes(machine.to_json(report))
    elif ending == ".txt":
        target.write_text(text.plain(report), encoding="utf-8")
    elif ending == ".html":
        from unstuck.render.html import to_html

        target.write_text(to_html(report), encoding="utf-8")
    else:
        endings = f"{', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"
        got = f"{str(path)!r}, which ends in {ending!r}" if ending else f"{str(path)!r}, without an ending"
        do = "Choose one of these endings."
        raise ValueError(sentence(f"A report's file must end in {endings}", got, do))


__all__ = ["save"]
