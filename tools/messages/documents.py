"""Messages of the documentation of the rules: the title, and each paragraph of the sections but the references."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import IO, Any

from unstuck.languages import paragraphs

UNTRANSLATED = ("References",)
"""Titles of papers stay as they were published."""


def extract(
    fileobj: IO[bytes], keywords: Any, comment_tags: Any, options: Any
) -> Iterator[tuple[int, str | None, str, list[str]]]:
    """The extraction method for Babel: line, function name (None), message, comments."""
    text = ast.get_docstring(ast.parse(fileobj.read())) or ""
    title, *parts = re.split(r"^## +(.+?) *$", text, flags=re.MULTILINE)
    yield 1, None, " ".join(title.split()), []
    for heading, body in zip(parts[::2], parts[1::2], strict=True):
        if heading not in UNTRANSLATED:
            for paragraph in paragraphs(body):
                yield 1, None, paragraph, [heading]
