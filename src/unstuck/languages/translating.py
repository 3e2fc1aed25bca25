"""Text in the language of the reader."""

from __future__ import annotations

import gettext
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final, final

from unstuck.languages.choosing import ENGLISH, current
from unstuck.languages.templates import HOLE, LONGEST, TELLING, Index, Template

FOLDER: Final = Path(__file__).parent
DOMAIN: Final = "unstuck"
DEEPEST: Final = 5
MOST_REMEMBERED: Final = 4096
MOST_LOOKED_UP: Final = 500
"""Pieces of one text that are looked up, so that none takes long however it is made."""

STRONG: Final = 12
"""Letters from which a template is trusted whatever fills its holes."""

ERROR: Final = "{0}; got {1}. {2}"
"""What `unstuck.errors.sentence` makes."""

MOST_ENDS: Final = 4
MOST_FOREIGN_WORDS: Final = 2
SENTENCES: Final = re.compile(r"(?<=[.?!)…]) (?=[A-Z`(\d])")
COMMAS: Final = re.compile(r", (?![^\[\]]*\])")
"""Between items; not those of an interval, "[0.2, 0.4]"."""

ORNAMENTS: Final = " \t\n├└│─○●◐✓✗·•"
"""What stands around a text on a page and is no part of it."""

WORD: Final = re.compile(r"(?<![A-Za-z])(?!(?:inf|nan)\b)[A-Za-z]{2}")
"""What makes a piece foreign that is no message: more than a number."""

IDEOGRAPH: Final = re.compile(r"[\u3400-\u9fff]")
LATIN: Final = re.compile(r"[A-Za-z0-9%`]")
ENDS: Final = (".", ":", "?", "!", "…")
FULL_WIDTH: Final = tuple("，。：；、？！）」")

_Fit = tuple[Template, dict[str, str], str]
"""A template, what fills its holes, and "." where the text lacks its stop, "。" where the text has one more."""


def marked(text: str) -> str:
    """The text itself; tells the extraction that it is a message although it is but a word."""
    return text


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a text that was wrapped by hand, each in one line."""
    return [" ".join(part.split()) for part in re.split(r"\n[ \t]*\n", text.strip()) if part.strip()]


@final
class Messages:
    """The messages of one language.

    Args:
        texts: English → translation; both with the same numbered holes.
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        clauses = {text[2:]: said.lstrip("；，;, ") for text, said in texts.items() if text.startswith(("; ", ", "))}
        self._texts = {**clauses, **texts}
        self._index = Index(self._texts)
        self._remembered: dict[str, str] = {}
        self._left = 0
        self._met: dict[tuple[str, int], str | None] = {}

    def translated(self, text: str) -> str:
        """`text` in this language, as far as it is known.

        Args:
            text: English, or anything else, which comes back as it is.

        Returns:
            The translation. White space around the text is kept, but for a space after full-width punctuation.
        """
        if not WORD.search(text):
            return text
        known = self._remembered.get(text)
        if known is None:
            core = text.lstrip(f"{ORNAMENTS}?:").rstrip(ORNAMENTS)
            self._left, self._met = MOST_LOOKED_UP, {}
            found = self._whole(core, DEEPEST) or core
            start = text[: len(text) - len(text.lstrip(f"{ORNAMENTS}?:"))]
            end = text[len(text.rstrip(ORNAMENTS)) :]
            known = f"{start}{found}{'' if end == ' ' and found.endswith(FULL_WIDTH) else end}"
            if len(self._remembered) >= MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[text] = known
            self._remembered[known] = known  # a page may ask again for what it has been told
        return known

    def _exact(self, text: str) -> str | None:
        """A message as it stands, or but for its capital or its full stop."""
        for spelt in _spellings(text):
            if (found := self._texts.get(spelt)) is not None:
                return found
            if (found := self._texts.get(f"{spelt}.")) is not None:
                return found.rstrip("。.")
            if spelt.endswith(".") and (found := self._texts.get(spelt[:-1])) is not None:
                return f"{found}。"
            if spelt.endswith(":") and (found := self._texts.get(spelt[:-1])) is not None:
                return f"{found}："
        return None

    def _whole(self, text: str, depth: int) -> str | None:
        """The translation of a text that may be a part of another; None where nothing of it is known."""
        if not WORD.search(text) or depth == 0:
            return None
        key = text, depth
        if key not in self._met:
            self._left -= 1
            self._met[key] = self._found(text, depth) if self._left >= 0 else None
        return self._met[key]

    def _found(self, text: str, depth: int) -> str | None:
        found = self._exact(text)
        if found is not None or len(text) > LONGEST or " " not in text:
            return found
        fits = tuple(self._fits(text))
        strong = [fit for fit in fits if fit[0].weight >= STRONG or not any(map(WORD.search, fit[1].values()))]
        weak = [fit for fit in fits if fit not in strong and fit[0].weight >= TELLING]
        within = [fit for fit in strong if _keeps_to_its_own(fit)]
        found = self._error(text, depth) or self._instance(within, depth) or self._aside(text, depth)
        found = found or self._parts(text, depth, True)
        found = found or self._instance([fit for fit in strong if fit not in within], depth)
        return found or self._instance(weak, depth) or self._parts(text, depth, False)

    def _error(self, text: str, depth: int) -> str | None:
        """A message of the grammar "what must be what; got what. Do this."; what was got may hold anything."""
        must, got, rest = text.partition("; got ")
        if not got or ERROR not in self._texts or (said := self._whole(must, depth - 1)) is None:
            return None
        ends = [place.start() for place in SENTENCES.finditer(rest)][-MOST_ENDS:]
        for end in reversed(ends):
            if (advice := self._whole(rest[end + 1 :], depth - 1)) is not None:
                what = rest[:end].removesuffix(".")
                filled = {"0": said, "1": self._whole(what, depth - 1) or what, "2": advice}
                return _filled(self._texts[ERROR], filled)
        return None

    def _fits(self, text: str) -> Iterator[_Fit]:
        """Templates that made a text, or made it but for its capital or its full stop."""
        spelt = _spellings(text)
        fits = (fit for one in spelt for fit in self._index.fitting(one))
        stops = text.endswith(".")
        yield from ((*fit, "") for fit in fits if not (stops and fit[0].literals[-1] == ""))
        if stops:
            yield from ((*fit, "。") for one in spelt for fit in self._index.fitting(one[:-1]))
        elif not text.endswith(ENDS):
            fits = (fit for one in spelt for fit in self._index.fitting(f"{one}."))
            yield from ((*fit, ".") for fit in fits if fit[0].text.endswith("."))

    def _instance(self, fits: Sequence[_Fit], depth: int) -> str | None:
        """The translation of the most specific template that made a text."""
        for template, fillings, stop in fits:
            known = {
                hole: None if hole in template.quoted else self._whole(filling.strip(), depth - 1)
                for hole, filling in fillings.items()
            }
            foreign = [filling for hole, filling in fillings.items() if known[hole] is None]
            if template.weight < STRONG and any(_words(filling) > MOST_FOREIGN_WORDS for filling in foreign):
                continue
            found = _filled(self._texts[template.text], {hole: known[hole] or fillings[hole] for hole in fillings})
            return found.rstrip("。.") if stop == "." else found + stop
        return None

    def _aside(self, text: str, depth: int) -> str | None:
        """A text with something in brackets at its end."""
        end = len(text) - len(text.rstrip(".:"))
        bare = text[: len(text) - end]
        start = _opening(bare)
        if start is None:
            return None
        outside, inside = bare[:start].rstrip(), bare[start + 1 : -1]
        before, within = self._whole(outside, depth - 1), self._whole(inside, depth - 1)
        if before is None and (within is None or WORD.search(outside)):
            return None
        stop = {".": "。", ":": "："}.get(text[len(bare) :], "")
        return f"{(before or outside).rstrip('。')}（{within or inside}）{stop}"

    def _parts(self, text: str, depth: int, every: bool) -> str | None:
        """A text of several messages put side by side: sentences, clauses, or items of a list."""
        for pieces, glue in (
            (text.split(" ── "), " ── "),
            (SENTENCES.split(text), ""),
            (text.split("; "), "；"),
            (COMMAS.split(text), "，"),
            (text.split(": ", 1), "："),
            (text.split(" → "), " → "),
        ):
            if len(pieces) < 2:
                continue
            known = [self._whole(piece, depth - 1) for piece in pieces]
            foreign = [piece for piece, found in zip(pieces, known, strict=True) if found is None]
            if len(foreign) == len(pieces) or (every and any(map(WORD.search, foreign))):
                continue
            if glue == "，" and any(map(WORD.search, foreign)):
                continue
            if glue == "：" and known[0] is None:
                continue
            return glue.join(found or piece for piece, found in zip(pieces, known, strict=True))
        return None


def _words(text: str) -> int:
    return sum(WORD.search(piece) is not None for piece in text.split())


def _opening(text: str) -> int | None:
    """Where the bracket opens that closes at the very end of a text."""
    depth = 0
    if text.endswith(")"):
        for place in range(len(text) - 1, -1, -1):
            depth += {")": 1, "(": -1}.get(text[place], 0)
            if depth == 0:
                return place
    return None


def _keeps_to_its_own(fit: _Fit) -> bool:
    """Whether no filling took a clause, or a bracket, of the sentence around it."""
    template, fillings, _ = fit
    clauses = "; " in template.text or not any("; " in filling for filling in fillings.values())
    return clauses and all(map(_closes_what_it_opens, fillings.values()))


def _closes_what_it_opens(text: str) -> bool:
    """Whether the brackets of a text pair up: where a filling's do not, it took a bracket of the sentence around it."""
    depth = 0
    for character in text:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth < 0:
            return False
    return depth == 0


def _filled(template: str, fillings: Mapping[str, str]) -> str:
    """A template with its holes filled; between Chinese and Latin letters stands a space, between Chinese none."""
    first, *rest = HOLE.split(template)
    filled = first
    for hole, literal in zip(rest[::2], rest[1::2], strict=True):
        filled = _beside(_beside(filled, fillings.get(hole, f"{{{hole}}}")), literal)
    return filled


def _beside(before: str, after: str) -> str:
    if not before or not after:
        return before + after
    if IDEOGRAPH.match(after.lstrip(" ")) and (IDEOGRAPH.match(before.rstrip(" ")[-1:]) or before[-1] in FULL_WIDTH):
        return before.rstrip(" ") + after.lstrip(" ")
    if before[-1] in FULL_WIDTH and after[0] == " ":
        return before + after.lstrip(" ")
    left, right = before[-1], after[0]
    if (IDEOGRAPH.match(left) and LATIN.match(right)) or (LATIN.match(left) and IDEOGRAPH.match(right)):
        return f"{before} {after}"
    return before + after


def _spellings(text: str) -> tuple[str, ...]:
    first = text[:1]
    other = first.lower() if first.isupper() else first.upper()
    return (text,) if first == other else (text, other + text[1:])


@cache
def messages_of(language: str) -> Messages:
    """The messages of a language, read once.

    Args:
        language: A code of `LANGUAGES` other than English.

    Returns:
        Them; none where the catalogue is missing.
    """
    path = FOLDER / language / "LC_MESSAGES" / f"{DOMAIN}.mo"
    if not path.is_file():
        return Messages({})
    with path.open("rb") as file:
        held = vars(gettext.GNUTranslations(file))["_catalog"]
    return Messages({text: translation for text, translation in held.items() if text and isinstance(text, str)})


def translated(text: str) -> str:
    """A text in the language of the reader.

    Args:
        text: What a record or a page says, in English: a message, an instance of a message with holes, or several of
            them side by side.

    Returns:
        Its translation; what is no message, such as the name of a layer, comes back as it is.
    """
    language = current()
    return text if language == ENGLISH else messages_of(language).translated(text)
