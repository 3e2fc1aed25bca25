"""Sentences recognised by the templates that made them.

A template is text with numbered holes, `"{0} of {1} samples are copies."`. A text instantiates it if the literals
between the holes occur in it in order, the first and the last at its ends. Each is looked for with `str.find`, the
leftmost place taken, so that no text, however hostile, costs more than its length for each template.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, final

HOLE: Final = re.compile(r"\{(\d+)\}")
FEWEST_LETTERS: Final = 2
TELLING: Final = 3
"""A template with fewer letters between its holes fits too much to be told by them, unless they hold numbers only."""

LONGEST: Final = 4000
"""Characters of a text that is still held against templates."""

KEY: Final = 4


def letters(text: str) -> int:
    """Letters of a text, holes left out."""
    return sum(map(str.isalpha, HOLE.sub("", text)))


@final
@dataclass(frozen=True, slots=True)
class Template:
    """A text with holes.

    Attributes:
        text: As written.
        literals: What stands before, between and behind the holes, shape `[H + 1]`.
        holes: The number of each hole in order, shape `[H]`.
        weight: Letters of the literals; of two templates that fit, the heavier is the more specific.
    """

    text: str
    literals: tuple[str, ...]
    holes: tuple[str, ...]
    weight: int

    @property
    def quoted(self) -> frozenset[str]:
        """The holes between backticks, which hold code."""
        around = zip(self.holes, itertools.pairwise(self.literals), strict=True)
        return frozenset(hole for hole, (left, right) in around if left.endswith("`") and right.startswith("`"))

    @classmethod
    def of(cls, text: str) -> Template:
        """Read a template."""
        parts = HOLE.split(text)
        return cls(text, tuple(parts[::2]), tuple(parts[1::2]), letters(text))

    def captures(self, text: str) -> dict[str, str] | None:
        """What fills the holes where `text` instantiates this template.

        Args:
            text: Any text.

        Returns:
            Number of the hole → its filling; None where the text is no instance.
        """
        first, *between, last = self.literals
        end = len(text) - len(last)
        if end < len(first) or not (text.startswith(first) and text.endswith(last)):
            return None
        found: dict[str, str] = {}
        at = len(first)
        for hole, literal in zip(self.holes, between, strict=False):
            place = text.find(literal, at, end)
            if place < 0:
                return None
            found[hole] = text[at:place]
            at = place + len(literal)
        found[self.holes[-1]] = text[at:end]
        return found


@final
class Index:
    """Templates by how they begin, or else end, so that a text is held against few of them.

    Args:
        texts: Templates; those without a hole, or with too few letters, are left out.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._by_start: dict[str, list[Template]] = {}
        self._by_end: dict[str, list[Template]] = {}
        self._others: list[tuple[str, Template]] = []
        for text in texts:
            template = Template.of(text)
            if not template.holes or template.weight < FEWEST_LETTERS:
                continue
            first, last = template.literals[0], template.literals[-1]
            if len(first) >= KEY:
                self._by_start.setdefault(first[:KEY], []).append(template)
            elif len(last) >= KEY:
                self._by_end.setdefault(last[-KEY:], []).append(template)
            else:
                self._others.append((max(template.literals, key=len), template))

    def fitting(self, text: str) -> list[tuple[Template, dict[str, str]]]:
        """The templates that a text instantiates.

        Args:
            text: Any text.

        Returns:
            Template and what fills its holes, the most specific first.
        """
        if len(text) > LONGEST:
            return []
        near = [*self._by_start.get(text[:KEY], ()), *self._by_end.get(text[-KEY:], ())]
        near += [template for literal, template in self._others if literal in text]
        fits = [(template, found) for template in near if (found := template.captures(text)) is not None]
        return sorted(fits, key=lambda fit: (-fit[0].weight, len(fit[0].holes), fit[0].text))
