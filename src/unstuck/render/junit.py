"""A report as JUnit XML, which every CI server shows: a test case per diagnosis.

What was found fails, what was ruled out passes, what was not checked is skipped.
The layout is that of the Jenkins xUnit plug-in's schema (junit-10.xsd, 2016).
"""

from __future__ import annotations

import math
from xml.etree import ElementTree

from unstuck.languages import in_english
from unstuck.render.cause import gained
from unstuck.render.figures import against, amount
from unstuck.render.lines import clean
from unstuck.render.ruled_out import why_not
from unstuck.report import Finding, Report

PACKAGE = "unstuck"


def _seconds(value: float) -> str:
    return f"{max(0.0, value):.3f}" if math.isfinite(value) else "0.000"


def _case(suite: ElementTree.Element, family: str, name: str, seconds: float = 0.0) -> ElementTree.Element:
    attributes = {"classname": f"{PACKAGE}.{family}", "name": clean(name, 200), "time": _seconds(seconds)}
    return ElementTree.SubElement(suite, "testcase", attributes)


def _family(code: str) -> str:
    return clean(code.rstrip("0123456789"), 12) or "rule"


def _particulars(finding: Finding) -> str:
    """The numbers, the trial and the remedy, a line each."""
    lines = [clean(finding.verdict.sentence)]
    for evidence in finding.evidence:
        compared = "" if evidence.limit is None else f", {against(evidence.quantity, evidence.limit)}"
        lines.append(f"{clean(evidence.quantity.name, 120)}: {clean(amount(evidence.quantity))}{compared}")
    if finding.verdict.where:
        lines.append("where: " + ", ".join(clean(place, 120) for place in finding.verdict.where))
    if finding.trial is not None:
        lines.append(f"The remedy {gained(finding.trial)}.")
        for change in finding.trial.changes:
            where = f" ({clean(change.line, 80)})" if change.line else ""
            lines.append(f"{clean(change.field, 80)}: {clean(change.before, 200)} → {clean(change.after, 200)}{where}")
    if finding.remedy:
        lines.append(clean(finding.remedy))
    return "\n".join(lines)


@in_english
def to_junit(report: Report) -> bytes:
    """Write a report as JUnit XML.

    Args:
        report: The report.

    Returns:
        An XML document in UTF-8: one suite, a case per diagnosis found, ruled out or not checked, and one
        that errs where the examination itself failed.
    """
    failed = bool(report.error)
    total = len(report.findings) + len(report.ruled_out) + len(report.unchecked) + 1
    counts = {
        "tests": str(total),
        "failures": str(len(report.findings)),
        "errors": str(int(failed)),
        "skipped": str(len(report.unchecked)),
        "time": _seconds(report.cost.seconds),
    }
    root = ElementTree.Element("testsuites", {"name": PACKAGE, **{k: v for k, v in counts.items() if k != "skipped"}})
    stamp = clean(report.provenance.created, 40)[:19]
    suite = ElementTree.SubElement(root, "testsuite", {"name": PACKAGE, **counts, "timestamp": stamp})
    properties = ElementTree.SubElement(suite, "properties")
    facts = {"branch": report.branch, "command": report.provenance.command, "device": report.provenance.device}
    for name, value in {**facts, "seed": str(report.provenance.seed), **report.provenance.versions}.items():
        ElementTree.SubElement(properties, "property", {"name": clean(name, 80), "value": clean(value)})
    case = _case(suite, "examination", "the set-up can be examined", report.cost.seconds)
    if failed:
        ElementTree.SubElement(case, "error", {"message": clean(report.error), "type": "not-examined"})
    for finding in report.findings:
        seconds = finding.trial.seconds if finding.trial is not None else 0.0
        case = _case(suite, _family(finding.rule.code), f"{finding.rule.code} {finding.rule.name}", seconds)
        attributes = {"message": clean(finding.rule.title), "type": finding.status.value}
        ElementTree.SubElement(case, "failure", attributes).text = _particulars(finding)
    for finding in report.ruled_out:
        case = _case(suite, _family(finding.rule.code), f"{finding.rule.code} {finding.rule.name}")
        ElementTree.SubElement(case, "system-out").text = clean(why_not(finding))
    for unchecked in report.unchecked:
        subject = unchecked.subject.strip() or "unnamed"
        case = _case(suite, _family(subject.split()[0]), subject)
        ElementTree.SubElement(case, "skipped", {"message": clean(unchecked.reason)})
    ElementTree.SubElement(suite, "system-out").text = clean(report.sentence)
    ElementTree.indent(root)
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"
