"""The JSON schema of a choice, drawn up from the records and their documentation.

`python -m unstuck.render.choice_schema > docs/choice-schema.json` writes it anew.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import Any

import msgspec

from unstuck import choice, honesty
from unstuck.choice import Choice
from unstuck.render.schema import DIALECT, NUMBER, described


def _with_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get("type") == "number":
            return {**NUMBER, **{key: item for key, item in value.items() if key != "type"}}
        return {key: _with_numbers(item) for key, item in value.items()}
    return [_with_numbers(item) for item in value] if isinstance(value, list) else value


def choice_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of what `unstuck select --json` writes.

    Returns:
        The schema as plain data, each record and field with its description.
    """
    drawn: dict[str, Any] = _with_numbers(msgspec.json.schema(Choice))
    for name, definition in drawn["$defs"].items():
        record = getattr(choice, name, None) or getattr(honesty, name, None)
        if not isinstance(record, type) or not dataclasses.is_dataclass(record):
            continue
        definition["description"], fields = described(record)
        definition["required"] = [field.name for field in dataclasses.fields(record)]
        for field, meaning in fields.items():
            definition["properties"][field]["description"] = meaning
    return {"$schema": DIALECT, "title": "unstuck choice", **drawn}


def written() -> str:
    """The schema as it is kept in docs/choice-schema.json."""
    return json.dumps(choice_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(written())
