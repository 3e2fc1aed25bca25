"""The page in ASCII, for terminals and files whose encoding has no braille: shapes kept, cell by cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from unstuck.render.lines import Line, Span, cells_of

DRAWN: Final = "".join(chr(code) for code in range(0x2800, 0x2900)) + "│─└├┤●○◐✓✗•–→≤≥…×−↑"
"""What the page itself draws with or writes."""

SAME_WIDTH: Final = str.maketrans(
    {
        "│": "|", "─": "-", "└": "`", "├": "|", "┤": "|", "┬": "+", "┴": "+", "┼": "+", "●": "*", "○": "o", "◐": "?",
        "✗": "x", "•": "*", "–": "-", "×": "x", "−": "-", "′": "'", "·": ".", "“": '"', "”": '"', "’": "'", "↑": "^",
    }
)  # fmt: skip
WIDER: Final = {"→": "->", "≤": "<=", "≥": ">=", "…": "...", "²": "^2", "✓": "ok"}
NARROWEST: Final = 60


def _dot_cell(character: str) -> str:
    """A braille cell by where its dots lie: high, in the middle, low, or over more than half the height."""
    bits = ord(character) - 0x2800
    rows = [bool(bits & mask) for mask in (0x09, 0x12, 0x24, 0xC0)]
    filled = [index for index, has_dot in enumerate(rows) if has_dot]
    if not filled:
        return " "
    if len(filled) > 2:
        return "|"
    middle = sum(filled) / len(filled)
    return "'" if middle < 1 else "-" if middle <= 2 else "."


def _spelled(text: str) -> str:
    dotted = "".join(_dot_cell(letter) if 0x2800 <= ord(letter) < 0x2900 else letter for letter in text)
    plain = dotted.translate(SAME_WIDTH)
    spelled = plain
    for sign, words in WIDER.items():
        spelled = spelled.replace(sign, words)
    longer = len(spelled) - len(plain)
    # What is padded to a column gives up as much of its padding, so that what stands beside it stays in place.
    return spelled[:-longer] if longer and spelled.endswith(" " * (longer + 1)) else spelled


def ascii_line(line: Line) -> Line:
    """A line with what the page draws spelled in ASCII; foreign letters of the user's own are left as they are."""
    return tuple(Span(_spelled(span.text), span.style) for span in line)


def can_draw(encoding: str | None) -> bool:
    """Whether an encoding has every character that the page draws with.

    Args:
        encoding: Its name, such as "utf-8"; ASCII where None.

    Returns:
        False for an encoding that Python does not know.
    """
    try:
        DRAWN.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def in_ascii(layout: Callable[[int], Sequence[Line]], width: int) -> list[Line]:
    """Lay a page out so that its ASCII form keeps within the width.

    Args:
        layout: Lays the page out for a number of columns.
        width: Columns that there are.

    Returns:
        The lines of the widest page that fits; an arrow takes two columns instead of one.
    """
    for narrower in range(width, NARROWEST - 1, -2):
        lines = [ascii_line(line) for line in layout(narrower)]
        if all(cells_of(line) <= width for line in lines):
            break
    return lines
