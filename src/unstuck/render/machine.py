r"""Reports as JSON and back: versioned, strict JSON, nothing lost.

Strict JSON has no NaN and no infinity. Where a field holds a number, "nan", "inf" and "-inf" stand for
them. In `chart`, whose layout belongs to the measurements, a string that happens to read so is written
with a backslash in front ("\nan"), and so is one that already has such a backslash.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from unstuck.errors import sentence
from unstuck.render.cure import CureRecord
from unstuck.report import SCHEMA_VERSION, Report

NON_FINITE: Final = ("nan", "inf", "-inf")
_RESERVED: Final = re.compile(r"\\*(?:nan|inf|-inf)\Z")
_SMALLEST: Final = -(2**63)
_LARGEST: Final = 2**64 - 1


def _foreign(value: object) -> object:
    """Turn a NumPy number or array, or a subclass of float, into what JSON has."""
    if isinstance(value, float):
        return float(value)
    as_list = getattr(value, "tolist", None)
    if callable(as_list):
        plain: object = as_list()
        return plain
    got = type(value).__name__
    raise NotImplementedError(sentence("A chart must hold plain data", got, "Use numbers and lists."))


def _valid(text: str) -> str:
    """Replace lone surrogates, which no JSON file can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _written(value: Any, escape: bool) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, str):
        return "\\" + _valid(value) if escape and _RESERVED.match(value) else _valid(value)
    if isinstance(value, int) and not _SMALLEST <= value <= _LARGEST:
        try:
            return float(value)
        except OverflowError:
            return "inf" if value > 0 else "-inf"
    if isinstance(value, dict):
        return {_valid(key): _written(item, escape) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_written(item, escape) for item in value]
    return value


def _read(value: Any) -> Any:
    if isinstance(value, str) and _RESERVED.match(value):
        return float(value) if value in NON_FINITE else value[1:]
    if isinstance(value, dict):
        return {key: _read(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_read(item) for item in value]
    return value


def _plain(report: Report) -> dict[str, Any]:
    builtins = msgspec.to_builtins(report, str_keys=True, enc_hook=_foreign)
    chart = builtins.pop("chart")
    return {**_written(builtins, False), "chart": _written(chart, True)}


def to_json(report: Report) -> bytes:
    """Write a report as JSON.

    Args:
        report: The report; its chart holds plain data.

    Returns:
        One line of strict JSON in UTF-8, with a line break at its end.
    """
    return msgspec.json.encode(_plain(report)) + b"\n"


def cure_to_json(cure: CureRecord) -> bytes:
    """Write what `treat` came to as JSON.

    Args:
        cure: The cure; its set-up, which is live, is left out: the changes are in the steps.

    Returns:
        One line of strict JSON with `schema`, `sentence`, `steps` (reports), `before` and `after`.
    """
    written = {
        "schema": SCHEMA_VERSION,
        "sentence": _written(cure.sentence, False),
        "steps": [_plain(report) for report in cure.steps],
        "before": _written(list(cure.before), False),
        "after": _written(list(cure.after), False),
    }
    return msgspec.json.encode(written) + b"\n"


def comparison_to_json(comparison: object, reports: Sequence[tuple[str, Report]]) -> bytes:
    """Write a comparison of logged runs as JSON.

    Args:
        comparison: A record of plain data.
        reports: The name of each run with its report.

    Returns:
        One line of strict JSON with `schema`, `comparison` and `runs` (name and report).
    """
    runs = [{"name": _valid(name), "report": _plain(report)} for name, report in reports]
    plain = _written(msgspec.to_builtins(comparison, str_keys=True, enc_hook=_foreign), False)
    return msgspec.json.encode({"schema": SCHEMA_VERSION, "comparison": plain, "runs": runs}) + b"\n"


def rows_to_json(rows: object) -> bytes:
    """Write plain data, such as the list of rules, as one line of JSON."""
    return msgspec.json.encode(rows) + b"\n"


def _refusal(got: str, do: str) -> str:
    return sentence("A report must be a JSON file that `unstuck` wrote", got, do)


def from_json(data: bytes) -> Report:
    """Read a report.

    Args:
        data: What `to_json` wrote, by this version or an earlier one.

    Returns:
        The report.

    Raises:
        ValueError: If the data are no JSON, no report, or a report of a newer layout.
    """
    again = "Write one with `unstuck diagnose TARGET --json report.json`."
    try:
        raw = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(_refusal(f"something that is no JSON ({error})", again)) from None
    if not isinstance(raw, dict) or "schema" not in raw:
        raise ValueError(_refusal("JSON without the field `schema`", again))
    version = raw["schema"]
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError(_refusal(f"a `schema` that is no version number ({str(version)[:40]!r})", again))
    if version > SCHEMA_VERSION:
        newest = f"layout {version}, and this `unstuck` knows {SCHEMA_VERSION} and earlier"
        raise ValueError(_refusal(newest, "Install a newer `unstuck`."))
    if "steps" in raw and "cost" not in raw:
        raise ValueError(_refusal("what `unstuck treat` wrote", "Take one of the reports under its field `steps`."))
    chart = raw.pop("chart", {})
    try:
        report = msgspec.convert(raw, Report, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(_refusal(f"a file in which something is amiss: {error}", again)) from None
    if not isinstance(chart, Mapping):
        raise ValueError(_refusal("a file in which something is amiss: `chart` is no object", again))
    return dataclasses.replace(report, chart=_read(chart))
