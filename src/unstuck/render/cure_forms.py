"""What `treat` came to, as a file: the forms of a report, with a round for each examination."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import msgspec

from unstuck.render import ending_of
from unstuck.render.cure import CureRecord, plain_cure
from unstuck.render.figures import number
from unstuck.render.junit import to_junit
from unstuck.render.machine import cure_to_json
from unstuck.render.pull_request import change_of, escaped, to_markdown
from unstuck.render.sarif import to_sarif


def _html(cure: CureRecord) -> bytes:
    from unstuck.render.html import cure_to_html

    return cure_to_html(cure).encode("utf-8", "replace")


def _text(cure: CureRecord) -> bytes:
    return plain_cure(cure).encode("utf-8", "replace")


def cure_to_markdown(cure: CureRecord) -> str:
    """Write a cure as GitHub-flavoured Markdown: what was done, each change, and the first report.

    Args:
        cure: The cure.

    Returns:
        Text that ends in a line break.
    """
    lines = [f"## {escaped(cure.sentence)}"]
    if cure.before and cure.after:
        lines += ["", f"Loss at the end: {number(cure.before[-1])} as given, {number(cure.after[-1])} as cured."]
    for place, report in enumerate(cure.steps, 1):
        lines += ["", f"**Round {place}.** {escaped(report.sentence)}"]
        lines += change_of(report)
    first = ["", "---", "", to_markdown(cure.steps[0]).rstrip()] if cure.steps else []
    return "\n".join([*lines, *first]) + "\n"


def _markdown(cure: CureRecord) -> bytes:
    return cure_to_markdown(cure).encode("utf-8", "replace")


def cure_to_sarif(cure: CureRecord) -> bytes:
    """Write a cure as SARIF 2.1.0 with a run for each round, told apart by their `automationDetails`.

    Args:
        cure: The cure, with at least one round.

    Returns:
        JSON in UTF-8.
    """
    logs = [msgspec.json.decode(to_sarif(report)) for report in cure.steps]
    runs = [
        {**run, "automationDetails": {"id": f"unstuck/round-{place}/"}}
        for place, log in enumerate(logs, 1)
        for run in log["runs"]
    ]
    return msgspec.json.encode({**logs[0], "runs": runs}) + b"\n"


def cure_to_junit(cure: CureRecord) -> bytes:
    """Write a cure as JUnit XML with a suite for each round.

    Args:
        cure: The cure, with at least one round.

    Returns:
        An XML document in UTF-8.
    """
    rounds = [ElementTree.fromstring(to_junit(report)) for report in cure.steps]  # noqa: S314, our own text
    root = ElementTree.Element("testsuites", {"name": rounds[0].get("name", "")})
    for key in ("tests", "failures", "errors"):
        root.set(key, str(sum(int(each.get(key, "0")) for each in rounds)))
    root.set("time", f"{sum(float(each.get('time', '0')) for each in rounds):.3f}")
    for place, each in enumerate(rounds, 1):
        for suite in each:
            suite.set("name", f"{suite.get('name', '')}, round {place}")
            root.append(suite)
    ElementTree.indent(root)
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


CURE_FORMS: Final[Mapping[str, Callable[[CureRecord], bytes]]] = {
    ".html": _html,
    ".json": cure_to_json,
    ".txt": _text,
    ".md": _markdown,
    ".sarif": cure_to_sarif,
    ".xml": cure_to_junit,
}
"""Ending of a file → what writes that form; the endings are those of a report."""


def save_cure(cure: CureRecord, path: str | Path) -> None:
    """Write a cure; the ending of `path` chooses the form.

    Args:
        cure: The cure.
        path: Ends as that of a report does.

    Raises:
        ValueError: If the ending is another one.
    """
    Path(path).write_bytes(CURE_FORMS[ending_of(path)](cure))
