"""Styled lines of text: cleaned of anything that could disturb a page, wrapped by terminal cells.

A page is a list of `Line`; printing it plain or in colour is a matter of the last step. Text that
comes from the user's program passes through `clean` once and is never read as markup.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple

from rich.cells import get_character_cell_size

from unstuck.languages import translated

Style = Literal["", "heading", "strong", "code", "sick", "well", "doubt", "dim"]

LONGEST_TEXT: Final = 640


class Span(NamedTuple):
    """A piece of text in one style."""

    text: str
    style: Style = ""


Line = tuple[Span, ...]
EMPTY: Final[Line] = ()


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if not category.startswith("C"):
        return character
    return character.encode("unicode_escape").decode("ascii")


def named(text: str, longest: int = LONGEST_TEXT) -> str:
    """Make a name, a command or a value fit for a page, in no language but its own.

    White space of any kind becomes one space; control, format and unassigned characters are spelled
    out, so that none reaches the terminal; what is too long is cut.

    Args:
        text: Any string.
        longest: Characters that are kept.

    Returns:
        One line of printable text.
    """
    normal = unicodedata.normalize("NFC", text[: 4 * longest])
    joined = " ".join(normal.split())
    shown = "".join(map(_visible, joined[: longest + 1]))
    if len(shown) > longest or len(text) > 4 * longest:
        return shown[: longest - 1].rstrip() + "…"
    return shown


def clean(text: str, longest: int = LONGEST_TEXT) -> str:
    """Make what a record says fit for a page, in the language of the reader.

    Args:
        text: Any string; it is translated where it is a message.
        longest: Characters that are kept.

    Returns:
        One line of printable text, as `named` makes it.
    """
    return named(translated(text), longest)


def cells(text: str) -> int:
    """Columns that `text` takes, a combining mark counted as one so that none runs over."""
    if text.isascii():
        return len(text)
    return sum(max(1, get_character_cell_size(character)) for character in text)


def _head(text: str, columns: int) -> str:
    used = 0
    for index, character in enumerate(text):
        used += cells(character)
        if used > columns:
            return text[:index]
    return text


def fit(text: str, columns: int) -> str:
    """Shorten a name to a number of columns by leaving out its middle.

    Args:
        text: Clean text.
        columns: Columns that there are.

    Returns:
        `text` itself where it fits.
    """
    if cells(text) <= columns:
        return text
    if columns < 2:
        return _head("…", columns)
    end = _head(text[::-1], (columns - 1) // 2)[::-1]
    return _head(text, columns - 1 - cells(end)) + "…" + end


def shorten(text: str, columns: int) -> str:
    """Shorten a sentence to a number of columns by leaving out its end."""
    if cells(text) <= columns:
        return text
    return _head(text, columns - 1).rstrip(" ,;") + "…" if columns > 0 else ""


def pad(text: str, columns: int) -> str:
    """Fit `text`, in the language of the reader, and fill it up with spaces to exactly that many columns."""
    fitted = fit(translated(text), columns)
    return fitted + " " * (columns - cells(fitted))


def right(text: str, columns: int) -> str:
    """`text` as `pad` makes it, but with the spaces before it."""
    fitted = pad(text, columns)
    return " " * (len(fitted) - len(fitted.rstrip(" "))) + fitted.rstrip(" ")


def line(*spans: Span | str) -> Line:
    """A line of spans in the language of the reader; strings among them are unstyled, code is left as it is."""
    return tuple(map(_in_language, spans))


def _in_language(span: Span | str) -> Span:
    text, style = (span.text, span.style) if isinstance(span, Span) else (span, "")
    return Span(text if style == "code" else translated(text), style)


def cells_of(line: Line) -> int:
    """Columns that a line takes."""
    return sum(cells(span.text) for span in line)


def bare(line: Line) -> str:
    """The text of a line, without style and trailing space."""
    return "".join(span.text for span in line).rstrip()


_Styled = tuple[str, Style]
_Word = tuple[bool, list[_Styled]]
"""Whether a space stands before it, and its characters."""

NEVER_FIRST: Final = frozenset("，。、；：？！）」』】》〉”’…—·％,.;:?!)]}%")
"""What closes something, and so begins no line where text without spaces is broken."""

NEVER_LAST: Final = frozenset("（「『【《〈“‘([{")


def _is_wide(character: str) -> bool:
    """Whether lines may be broken beside a character, as Chinese and Japanese are: it takes two columns."""
    return not character.isascii() and get_character_cell_size(character) == 2


def _may_break(before: str, after: str) -> bool:
    return (_is_wide(before) or _is_wide(after)) and after not in NEVER_FIRST and before not in NEVER_LAST


def _words(spans: Iterable[Span]) -> list[_Word]:
    words: list[_Word] = [(False, [])]
    for span in spans:
        for character in span.text:
            if character == " ":
                words.append((True, []))
                continue
            if words[-1][1] and _may_break(words[-1][1][-1][0], character):
                words.append((False, []))
            words[-1][1].append((character, span.style))
    return [word for word in words if word[1]]


def _pieces(word: list[_Styled], columns: int) -> Iterable[list[_Styled]]:
    piece: list[_Styled] = []
    used = 0
    for styled in word:
        size = cells(styled[0])
        if piece and used + size > columns:
            yield piece
            piece, used = [], 0
        piece.append(styled)
        used += size
    yield piece


def _joined(indent: str, words: Sequence[_Word]) -> Line:
    styled: list[_Styled] = [(character, "") for character in indent]
    for index, (spaced, word) in enumerate(words):
        if index and spaced:
            between = word[0][1] if word[0][1] == words[index - 1][1][-1][1] else ""
            styled.append((" ", between))
        styled += word
    groups = itertools.groupby(styled, key=lambda pair: pair[1])
    return tuple(Span("".join(character for character, _ in group), style) for style, group in groups)


def wrap(spans: Sequence[Span | str], width: int, indent: str = "", hanging: str | None = None) -> list[Line]:
    """Break styled text into lines at spaces and beside Chinese characters, inside words only where they are too long.

    Args:
        spans: Clean text.
        width: Columns of the page.
        indent: Put before the first line.
        hanging: Put before the others; as `indent` where None.

    Returns:
        Lines of at most `width` columns; none for empty text.
    """
    rest = indent if hanging is None else hanging
    room = max(8, width - max(cells(indent), cells(rest)))
    lines: list[Line] = []
    current: list[_Word] = []
    used = 0
    for spaced, word in _words(line(*spans)):
        for number, piece in enumerate(_pieces(word, room)):
            size = sum(cells(character) for character, _ in piece)
            gap = int(bool(current) and (spaced or number > 0))
            if current and used + gap + size > width - cells(rest if lines else indent):
                lines.append(_joined(rest if lines else indent, current))
                current, used, gap = [], 0, 0
            used += size + gap
            current.append((gap > 0, piece))
    if current:
        lines.append(_joined(rest if lines else indent, current))
    return lines
