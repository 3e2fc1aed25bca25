"""A picture's specification in the language of the reader: titles, labels and the names among its data."""

from __future__ import annotations

from typing import Any, Final

from unstuck.languages import ENGLISH, current, translated

SAID: Final = frozenset({"title", "subtitle", "text", "label", "datum", "domain", "sort", "equal", "oneOf", "values"})
"""Keys under which strings are shown, or must agree with data that are."""

UNSAID: Final = frozenset(
    {"$schema", "field", "type", "format", "color", "fill", "stroke", "anchor", "op", "order", "expr"}
)
"""Keys inside those that tell where to look and how to draw."""


def in_language(spec: Any, is_said: bool = False) -> Any:
    """Translate what is shown of a specification; fields, types, formats and expressions stay.

    Args:
        spec: A Vega-Lite specification or a part of one.
        is_said: Whether strings here are shown.

    Returns:
        The same in English; else a copy.
    """
    if current() == ENGLISH:
        return spec
    if isinstance(spec, dict):
        return {key: in_language(item, key not in UNSAID and (is_said or key in SAID)) for key, item in spec.items()}
    if isinstance(spec, (list, tuple)):
        return [in_language(item, is_said) for item in spec]
    return translated(spec) if is_said and isinstance(spec, str) else spec
