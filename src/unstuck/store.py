"""Measurements as plain data, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from unstuck.examine import requests
from unstuck.measure.protocol import Unmeasured


def stored(taken: Mapping[type, Any]) -> Mapping[str, Any]:
    """Measurements by the name of their type, as plain data; {"unmeasured": reason} for what is missing."""
    plain: dict[str, Any] = {}
    for kind, value in taken.items():
        if isinstance(value, Unmeasured):
            plain[kind.__name__] = {"unmeasured": value.reason}
        else:
            plain[kind.__name__] = msgspec.to_builtins(value)
    return plain


def restored(
    chart: Mapping[str, Any], judges: Iterable[Callable[..., Any]], others: Iterable[type] = ()
) -> Iterator[tuple[type, Any]]:
    """The measurements of a stored chart that rules ask for.

    Args:
        chart: As made by `stored`; floats may be spelled "nan", "inf" and "-inf".
        judges: Their annotations name the types.
        others: More types that are wanted.

    Yields:
        Each type with its measurement, or with why it could not be taken; what is missing, or was laid out
        otherwise by an earlier version, is left out.
    """
    wanted = {kind for judge in judges for kind in wanted_by(judge)}.union(others)
    for kind in sorted(wanted, key=lambda kind: kind.__name__):
        value = chart.get(kind.__name__)
        if value is None:
            continue
        if "unmeasured" in value:
            yield kind, Unmeasured(value["unmeasured"])
            continue
        try:
            yield kind, msgspec.convert(value, kind, strict=False)
        except (msgspec.ValidationError, TypeError):
            continue


def wanted_by(judge: Callable[..., Any]) -> Iterator[type]:
    """Measurement types among the annotations of a judge."""
    for kind in requests(judge).values():
        for part in (kind, *getattr(kind, "__args__", ())):
            if isinstance(part, type) and hasattr(part, "cost"):
                yield part


def restored_as(chart: Mapping[str, Any], kind: type) -> Any:
    """One measurement of a stored chart.

    Args:
        chart: As made by `stored`.
        kind: Its type.

    Returns:
        The measurement, or `Unmeasured` where it is missing or was laid out otherwise by an earlier version.
    """
    value = chart.get(kind.__name__)
    if value is None:
        return Unmeasured(f"the report does not hold {kind.__name__}")
    if "unmeasured" in value:
        return Unmeasured(value["unmeasured"])
    try:
        return msgspec.convert(value, kind, strict=False)
    except (msgspec.ValidationError, TypeError):
        return Unmeasured(f"{kind.__name__} was laid out otherwise when the report was made")
