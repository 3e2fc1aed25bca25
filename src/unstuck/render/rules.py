"""The catalogue on the page: the list of diagnoses, and one of them in full."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from unstuck.catalogue import FAMILIES, Entry
from unstuck.render.lines import EMPTY, Line, Span, clean, line, wrap
from unstuck.render.markdown import inline, markdown


def rules_page(entries: Sequence[Entry], width: int) -> list[Line]:
    """List the diagnoses by family.

    Args:
        entries: In the order in which they are shown.
        width: Columns of the page.

    Returns:
        Per diagnosis its code, its name and the sentence that states the fault.
    """
    if not entries:
        return [line("There is no diagnosis yet.")]
    lines: list[Line] = []
    for family, members in itertools.groupby(entries, key=lambda entry: entry.family):
        heading = f"{family}  {clean(FAMILIES.get(family, 'Of another package'))}"
        lines += [EMPTY] if lines else []
        lines += [line(Span(clean(heading), "heading")), EMPTY]
        for entry in members:
            lines += wrap([Span(clean(entry.code), "strong"), " ", Span(clean(entry.name), "code")], width, "  ")
            lines += wrap(inline(entry.title), width, " " * 9)
    lines += [EMPTY, *wrap([Span("unstuck explain CODE says more of one.", "dim")], width)]
    return lines


def explain_page(entry: Entry, width: int) -> list[Line]:
    """One diagnosis in full.

    Args:
        entry: The diagnosis.
        width: Columns of the page.

    Returns:
        Code, name, title and every section under its heading.
    """
    lines = wrap([Span(clean(entry.code), "strong"), " ", Span(clean(entry.name), "code")], width)
    lines += wrap(inline(entry.title), width)
    for heading, text in entry.sections.items():
        lines += [EMPTY, *wrap([Span(clean(heading), "heading")], width), EMPTY, *markdown(text, width)]
    return lines
