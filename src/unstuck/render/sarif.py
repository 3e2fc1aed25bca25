"""A report as SARIF 2.1.0 (OASIS, 2020), which code hosts show beside the lines of a change.

Only what was found is a result: hosts show every result as an alert. What was ruled out and what was not
checked is counted, the latter as notifications of the invocation.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec

from unstuck.languages import in_english
from unstuck.render.cause import gained
from unstuck.render.lines import clean
from unstuck.report import Finding, Report, RuleSummary, Status

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS: Final[Mapping[Status, str]] = {Status.CONFIRMED: "error", Status.SUSPECTED: "warning"}

_LINE: Final = re.compile(r"([^\s,()]+\.py):(\d+)")


def _uri(path: str) -> str:
    """A path of the user's as a relative reference."""
    absolute = path.startswith(("/", "\\")) or re.match(r"[A-Za-z]:[\\/]", path)
    normal = posixpath.normpath(path.replace("\\", "/"))
    return ("file://" if absolute else "") + quote(normal if not absolute or normal[:1] == "/" else f"/{normal}")


def _target(report: Report) -> str:
    """The file that the command examined, or ""."""
    try:
        words = shlex.split(report.provenance.command)
    except ValueError:
        return ""
    for word in words[2:]:
        place = word.split(".py:")[0] + (".py" if ".py:" in word else "")
        if place.endswith(".py") and clean(place) == place:
            return place
    return ""


def _locations(finding: Finding, target: str) -> list[dict[str, Any]]:
    """The user's own lines where they are known, else the file that was examined, with the layers concerned."""
    named = [clean(place, 200) for place in finding.verdict.where]
    changed = () if finding.trial is None else tuple(clean(change.line, 200) for change in finding.trial.changes)
    lines = [found for text in (*named, clean(finding.verdict.sentence), *changed) for found in _LINE.finditer(text)]
    lines = list({found[0]: found for found in lines}.values())
    layers = [{"name": name, "kind": "member"} for name in named if name and not _LINE.search(name)]
    physical: list[dict[str, Any]] = []
    for found in lines[:6]:
        name, row = found[1], max(1, int(found[2][:9]))
        path = target if target and posixpath.basename(target.replace("\\", "/")) == name else name
        region = {"startLine": row}
        physical.append({"physicalLocation": {"artifactLocation": {"uri": _uri(path)}, "region": region}})
    if not physical and target:
        physical = [{"physicalLocation": {"artifactLocation": {"uri": _uri(target)}, "region": {"startLine": 1}}}]
    if layers:
        physical = physical or [{}]
        physical[0]["logicalLocations"] = layers[:20]
    return physical


def _rule(rule: RuleSummary) -> dict[str, Any]:
    why = clean(rule.why or rule.title)
    return {
        "id": clean(rule.code, 40) or "unnamed",
        "name": "".join(part.capitalize() for part in clean(rule.name, 80).split("-")) or "Unnamed",
        "shortDescription": {"text": clean(rule.title) or "No title."},
        "fullDescription": {"text": why or "No description."},
        "help": {"text": f"unstuck explain {clean(rule.code, 40)}"},
    }


def _message(finding: Finding) -> str:
    parts = [clean(finding.verdict.sentence)]
    if finding.trial is not None:
        parts.append(f"The remedy {gained(finding.trial)}.")
    if finding.remedy:
        parts.append(f"{'To do' if finding.status is Status.CONFIRMED else 'To try'}: {clean(finding.remedy)}")
    return " ".join(part for part in parts if part) or "Found."


@in_english
def to_sarif(report: Report) -> bytes:
    """Write a report as SARIF 2.1.0.

    Args:
        report: The report.

    Returns:
        JSON in UTF-8: a result per finding, "error" where a trial confirmed it and "warning" where it is
        suspected, at the user's own line where it is known.
    """
    rules: dict[str, RuleSummary] = {}
    for finding in report.findings:
        rules.setdefault(clean(finding.rule.code, 40) or "unnamed", finding.rule)
    order = list(rules)
    target = _target(report)
    results: list[dict[str, Any]] = []
    for finding in report.findings:
        code = clean(finding.rule.code, 40) or "unnamed"
        places = "/".join(clean(place, 80) for place in finding.verdict.where)
        result: dict[str, Any] = {
            "ruleId": code,
            "ruleIndex": order.index(code),
            "level": LEVELS[finding.status],
            "message": {"text": _message(finding)},
            "partialFingerprints": {"diagnosis/v1": f"{code}:{places}"},
            "properties": {"status": finding.status.value, "explainedBy": clean(finding.explained_by, 40)},
        }
        if locations := _locations(finding, target):
            result["locations"] = locations
        results.append(result)
    invocation: dict[str, Any] = {
        "executionSuccessful": not report.error,
        "commandLine": clean(report.provenance.command),
        "toolExecutionNotifications": [
            {"level": "note", "message": {"text": f"Not checked: {clean(each.subject, 120)}: {clean(each.reason)}"}}
            for each in report.unchecked
        ],
    }
    if report.error:
        failure = {"level": "error", "message": {"text": clean(report.error) or "No reason was given."}}
        invocation["toolExecutionNotifications"].insert(0, failure)
    driver = {
        "name": "unstuck",
        "version": clean(report.provenance.versions.get("unstuck", "unknown"), 40) or "unknown",
        "rules": [_rule(rule) for rule in rules.values()],
    }
    counted = {"sentence": clean(report.sentence), "branch": report.branch, "ruledOut": len(report.ruled_out)}
    run = {
        "tool": {"driver": driver},
        "invocations": [invocation],
        "results": results,
        "columnKind": "unicodeCodePoints",
        "properties": counted,
    }
    return msgspec.json.encode({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}) + b"\n"
