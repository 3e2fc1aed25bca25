"""A finished page in the language of the reader: its texts and labels are translated, its code is left as it is.

Every `<` of a foreign string is escaped by then, so that what looks like a tag is one.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Final

from unstuck.languages import ENGLISH, current, translated

TAGS: Final[dict[str, str]] = {"zh": "zh-CN"}
"""Language → what the page says of itself (BCP 47)."""

OPAQUE: Final = ("script", "style", "pre", "code", "del", "ins")
"""Elements whose text is no prose."""

_NAME: Final = '<span translate="no">'
"""What stands before a name, which is the same in every language."""

_PIECES: Final = re.compile(rf"(<({'|'.join(OPAQUE)})\b.*?</\2>|{_NAME}.*?</span>|<[^>]+>)", re.DOTALL)
_LABELS: Final = re.compile(r'\b(aria-label|title|alt|placeholder)="([^"]*)"')

_SAID: Final = re.compile(r"""\bsay\((['"])((?:(?!\1).)+)\1""")


def _said(text: str) -> str:
    return html.escape(translated(html.unescape(text)))


def _tag(tag: str) -> str:
    return _LABELS.sub(lambda label: f'{label[1]}="{_said(label[2])}"', tag)


def in_language(page: str) -> str:
    """Translate a page.

    Args:
        page: HTML in English, all that is foreign in it escaped.

    Returns:
        The page itself in English; else the page with texts and labels in the language of the reader.
    """
    language = current()
    if language == ENGLISH:
        return page
    pieces = _PIECES.split(page)
    said: list[str] = []
    for text, markup in zip(pieces[::3], [*pieces[1::3], ""], strict=True):
        is_prose = not markup.startswith((*(f"<{name}" for name in OPAQUE), _NAME))
        said += [_said(text), _tag(markup) if is_prose else markup]
    return "".join(said).replace('<html lang="en">', f'<html lang="{TAGS.get(language, language)}">', 1)


def words_of(script: str) -> dict[str, str]:
    """What a script of a page says, in the language of the reader.

    Args:
        script: JavaScript that passes each of its texts through `say('…')`.

    Returns:
        English → translation, with what is filled in as "{0}"; empty in English.
    """
    return in_words(found[2] for found in _SAID.finditer(script))


def in_words(texts: Iterable[str]) -> dict[str, str]:
    """Texts with their translations.

    Args:
        texts: English.

    Returns:
        English → translation; empty in English.
    """
    return {} if current() == ENGLISH else {text: translated(text) for text in texts}
