"""`unstuck rules` and `unstuck explain`: what the files of the rules say."""

from __future__ import annotations

import argparse
import functools
import warnings

from unstuck import catalogue
from unstuck.cli.output import deliver, say
from unstuck.cli.status import NOTHING_FOUND, Refused


def list_rules(options: argparse.Namespace) -> int:
    """List every rule.

    Args:
        options: With `json` and `plain`.

    Returns:
        The exit status.
    """
    from unstuck.render.machine import rows_to_json
    from unstuck.render.rules import rules_page

    entries = _entries()
    rows = [{"code": entry.code, "name": entry.name, "title": entry.title} for entry in entries]
    layout = functools.partial(rules_page, entries)
    deliver(functools.partial(rows_to_json, rows), layout, options.json, options.plain)
    return NOTHING_FOUND


def explain(options: argparse.Namespace) -> int:
    """Say what a rule means.

    Args:
        options: With `rule`, `json` and `plain`.

    Returns:
        The exit status.

    Raises:
        Refused: If there is no such rule.
    """
    from unstuck.render.machine import rows_to_json
    from unstuck.render.rules import explain_page

    entry = entry_of(options.rule)
    row = {"code": entry.code, "name": entry.name, "title": entry.title, "sections": dict(entry.sections)}
    layout = functools.partial(explain_page, entry)
    deliver(functools.partial(rows_to_json, row), layout, options.json, options.plain)
    return NOTHING_FOUND


def entry_of(code_or_name: str) -> catalogue.Entry:
    """The entry of a rule.

    Args:
        code_or_name: As typed.

    Returns:
        The entry.

    Raises:
        Refused: If there is no such rule.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return catalogue.entry(code_or_name)
    except LookupError as error:
        raise Refused(str(error)) from None


def _entries() -> tuple[catalogue.Entry, ...]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = catalogue.entries()
    for warning in caught:
        say(str(warning.message))
    return found
