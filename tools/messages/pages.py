"""Messages of an HTML template: the texts between its tags and its labels, with what is put in as holes."""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Iterator
from typing import IO, Any, Final

import jinja2
from jinja2 import nodes

from tools.messages.python import LETTERS, MOST_VARIANTS

MARKUP: Final = re.compile(r"<(script|style|pre)\b.*?</\1>|<!--.*?-->|<!?/?\w[^>]*>", re.DOTALL)
LABELS: Final = re.compile(r'\b(?:aria-label|title|alt|placeholder)="([^"]*)"')
HOLE: Final = "\0"


def _wordings(node: nodes.Output) -> Iterator[str]:
    r"""The text of an output with "\0" for what is put in, once for each choice between constants."""
    parts: list[tuple[str, ...]] = []
    for part in node.nodes:
        if isinstance(part, nodes.TemplateData):
            parts.append((part.data,))
        elif (
            isinstance(part, nodes.CondExpr)
            and isinstance(part.expr1, nodes.Const)
            and isinstance(part.expr2, nodes.Const)
        ):
            parts.append((str(part.expr1.value), str(part.expr2.value)))
        else:
            parts.append((HOLE,))
    for wording in itertools.islice(itertools.product(*parts), MOST_VARIANTS):
        yield "".join(wording)


def _texts(wording: str) -> Iterator[str]:
    yield from LABELS.findall(wording)
    yield from MARKUP.sub("\1", wording).split("\1")


def _numbered(text: str) -> str:
    first, *rest = text.split(HOLE)
    return first + "".join(f"{{{index}}}{part}" for index, part in enumerate(rest))


def messages(source: str) -> list[tuple[int, str]]:
    """The messages of a template.

    Args:
        source: A Jinja template, or plain HTML.

    Returns:
        Line and message.
    """
    found: list[tuple[int, str]] = []
    tree = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).parse(source)
    for output in tree.find_all(nodes.Output):
        for text in itertools.chain.from_iterable(map(_texts, _wordings(output))):
            core = _numbered(" ".join(html.unescape(text).split()))
            if LETTERS.search(re.sub(r"\{\d+\}", "", core)) and "<" not in core:
                found.append((output.lineno, core))
    for constant in tree.find_all((nodes.Const,)):
        if isinstance(constant.value, str) and re.search(r"[a-z] [a-z]", constant.value):
            found.append((constant.lineno, constant.value.strip()))
    return found


def extract(
    fileobj: IO[bytes], keywords: Any, comment_tags: Any, options: Any
) -> Iterator[tuple[int, str | None, str, list[str]]]:
    """The extraction method for Babel: line, function name (None), message, comments."""
    for line, text in messages(fileobj.read().decode("utf-8")):
        yield line, None, text, []
