"""The JSON schema of a report, drawn up from the records and their documentation.

`python -m unstuck.render.schema > docs/report-schema.json` writes it anew.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
from typing import Any, Final

import msgspec

from unstuck import report as records
from unstuck.report import Report

NUMBER: Final = {"anyOf": [{"type": "number"}, {"enum": ["nan", "inf", "-inf"]}]}
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def _with_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get("type") == "number":
            rest = {key: item for key, item in value.items() if key != "type"}
            return {**NUMBER, **rest}
        return {key: _with_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_numbers(item) for item in value]
    return value


def described(record: type[object]) -> tuple[str, dict[str, str]]:
    """What a record's docstring says of it and of each of its fields.

    Args:
        record: A record with a docstring whose section "Attributes:" names its fields.

    Returns:
        The first paragraph, and field → description.
    """
    summary, _, attributes = inspect.cleandoc(record.__doc__ or "").partition("\n\nAttributes:\n")
    fields: dict[str, str] = {}
    name = ""
    for row in attributes.splitlines():
        if row.startswith("    ") and not row.startswith("     "):
            name, _, text = row.strip().partition(": ")
            fields[name] = text
        elif name and row.strip():
            fields[name] += " " + row.strip()
    return summary.partition("\n\n")[0], fields


def schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of what `to_json` writes.

    Returns:
        The schema as plain data, each record and field with its description.
    """
    drawn: dict[str, Any] = _with_numbers(msgspec.json.schema(Report))
    for name, definition in drawn["$defs"].items():
        record: type = getattr(records, name)
        if not dataclasses.is_dataclass(record):
            continue
        definition["description"], fields = described(record)
        definition["required"] = [field.name for field in dataclasses.fields(record)]
        for field, meaning in fields.items():
            definition["properties"][field]["description"] = meaning
    return {"$schema": DIALECT, "title": "unstuck report", **drawn}


def written() -> str:
    """The schema as it is kept in docs/report-schema.json."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(written())
