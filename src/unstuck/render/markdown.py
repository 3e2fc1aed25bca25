"""The markdown that rule files are written in, as lines: paragraphs, lists, code, emphasis."""

from __future__ import annotations

import re
from typing import Final

from unstuck.languages import translated
from unstuck.render.lines import EMPTY, Line, Span, Style, line, named, shorten, wrap

INLINE: Final = re.compile(r"(`[^`]+`|\*\*[^*]+\*\*)")
ITEM: Final = re.compile(r"(\s*)([-*]|\d+\.) +(.*)")


def inline(text: str) -> list[Span]:
    """Split a paragraph into plain text, `code` and **strong** text.

    Args:
        text: A paragraph of markdown.

    Returns:
        Spans of clean text.
    """
    spans: list[Span] = []
    said = translated(text)
    kept = named(said, len(said) + 1)
    for part in INLINE.split(kept):
        if part.startswith("**") and part.endswith("**") and len(part) > 4:
            spans.append(Span(part[2:-2], "strong"))
        elif part:
            style: Style = "code" if part.startswith("`") and part.endswith("`") and len(part) > 2 else ""
            spans.append(Span(part, style))
    return spans


def _verbatim(row: str, width: int, indent: str) -> Line:
    text = "".join(named(part, len(part) + 1) or part for part in re.split(r"( +)", row))
    return line(indent, Span(shorten(text, width - len(indent)), "code"))


def markdown(text: str, width: int, indent: str = "  ") -> list[Line]:
    """Lay out markdown.

    Args:
        text: Paragraphs, lists, tables and code blocks, fenced or indented by four spaces.
        width: Columns of the page.
        indent: Put before each line.

    Returns:
        Lines of at most `width` columns.
    """
    lines: list[Line] = []
    paragraph: list[str] = []
    first, hanging = indent, indent
    fenced = False

    def close() -> None:
        nonlocal first, hanging
        lines.extend(wrap(inline(" ".join(paragraph)), width, first, hanging))
        paragraph.clear()
        first, hanging = indent, indent

    for row in text.expandtabs(4).splitlines():
        item = ITEM.fullmatch(row)
        if row.strip().startswith("```"):
            close()
            fenced = not fenced
        elif fenced or (row.startswith("    ") and not paragraph) or row.lstrip().startswith("|"):
            close()
            lines.append(_verbatim(row if fenced else row.strip(), width, indent + "  "))
        elif not row.strip():
            close()
            if lines and lines[-1] != EMPTY:
                lines.append(EMPTY)
        elif item is not None:
            close()
            depth = indent + " " * min(len(item[1]), 8)
            mark = "•" if item[2] in "-*" else item[2]
            first, hanging = f"{depth}{mark} ", depth + " " * (len(mark) + 1)
            paragraph.append(item[3])
        else:
            paragraph.append(row.strip())
    close()
    while lines and lines[-1] == EMPTY:
        lines.pop()
    return lines
