"""What other programs read: Markdown, SARIF and JUnit, whatever strings the user's program holds."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tests.render import samples
from tests.render.strategies import reports
from unstuck.render import ENDINGS, save
from unstuck.render.html import to_html
from unstuck.render.junit import to_junit
from unstuck.render.pull_request import escaped, fenced, to_markdown
from unstuck.render.sarif import to_sarif
from unstuck.render.text import plain
from unstuck.report import Report, Verdict

ATTACKS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![](https://evil.example/x.png)",
    "https://evil.example",
    "www.evil.example",
    "@torvalds see #12 and GH-12",
    "| a | b |",
    "`` ` ``` code",
    "</details><h1>owned</h1>",
    "# heading",
    "- item",
    "1. item",
    "*bold* _it_ ~~gone~~ $x$",
    "a\n\n# b",
    "&lt;b&gt;",
    "]]>",
    "\x00\x0b\ufffe",
)

MESSAGE = {
    "type": "object", "required": ["text"], "additionalProperties": False,
    "properties": {"text": {"type": "string", "minLength": 1}},
}  # fmt: skip
PHYSICAL = {
    "type": "object", "required": ["artifactLocation", "region"], "additionalProperties": False,
    "properties": {
        "artifactLocation": {
            "type": "object", "required": ["uri"], "additionalProperties": False,
            "properties": {"uri": {"type": "string", "pattern": r"^(file:///)?[A-Za-z0-9._~/%-]+$"}},
        },
        "region": {
            "type": "object", "additionalProperties": False,
            "properties": {"startLine": {"type": "integer", "minimum": 1}},
        },
    },
}  # fmt: skip
NOTIFICATION = {
    "type": "object", "required": ["message"], "additionalProperties": False,
    "properties": {"level": {"enum": ["none", "note", "warning", "error"]}, "message": MESSAGE},
}  # fmt: skip
DESCRIPTOR = {
    "type": "object", "required": ["id"], "additionalProperties": False,
    "properties": {
        "id": {"type": "string"}, "name": {"type": "string"}, "shortDescription": MESSAGE, "fullDescription": MESSAGE,
        "help": MESSAGE,
    },
}  # fmt: skip
RESULT = {
    "type": "object", "required": ["message"], "additionalProperties": False,
    "properties": {
        "ruleId": {"type": "string"}, "ruleIndex": {"type": "integer", "minimum": -1},
        "level": {"enum": ["none", "note", "warning", "error"]}, "message": MESSAGE,
        "partialFingerprints": {"type": "object", "additionalProperties": {"type": "string"}},
        "properties": {"type": "object"},
        "locations": {
            "type": "array", "minItems": 1,
            "items": {
                "type": "object", "additionalProperties": False,
                "properties": {
                    "physicalLocation": PHYSICAL,
                    "logicalLocations": {"type": "array", "items": {
                        "type": "object", "additionalProperties": False,
                        "properties": {"name": {"type": "string"}, "kind": {"type": "string"}},
                    }},
                },
            },
        },
    },
}  # fmt: skip
SARIF = {
    "type": "object", "required": ["version", "runs"], "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"enum": ["2.1.0"]},
        "runs": {"type": "array", "minItems": 1, "items": {
            "type": "object", "required": ["tool"], "additionalProperties": False,
            "properties": {
                "tool": {"type": "object", "required": ["driver"], "additionalProperties": False, "properties": {
                    "driver": {"type": "object", "required": ["name"], "additionalProperties": False, "properties": {
                        "name": {"type": "string"}, "version": {"type": "string"},
                        "rules": {"type": "array", "uniqueItems": True, "items": DESCRIPTOR},
                    }},
                }},
                "invocations": {"type": "array", "items": {
                    "type": "object", "required": ["executionSuccessful"], "additionalProperties": False,
                    "properties": {
                        "executionSuccessful": {"type": "boolean"}, "commandLine": {"type": "string"},
                        "toolExecutionNotifications": {"type": "array", "items": NOTIFICATION},
                    },
                }},
                "results": {"type": "array", "items": RESULT},
                "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                "properties": {"type": "object"},
            },
        }},
    },
}  # fmt: skip
"""The part of the OASIS schema (sarif-schema-2.1.0.json) that is written; what it does not name is refused."""

SUITE = ["properties", "testcase*", "system-out"]


def refuse_constant(name: str) -> None:
    raise AssertionError(f"{name} is no strict JSON")


def markup(text: str) -> list[str]:
    """What Markdown makes of a text beyond plain paragraphs of text."""
    plain = {"paragraph_open", "paragraph_close", "inline", "text", "softbreak", "text_special"}
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    tokens = parser.parse(text)
    return [each.type for token in tokens for each in (token, *(token.children or ())) if each.type not in plain]


@pytest.mark.parametrize("text", ATTACKS)
def test_foreign_text_in_markdown_reads_the_same_and_does_nothing(text: str) -> None:
    spelled = escaped(text)
    assert markup(spelled) == []
    assert not re.search(r"@\w|#\d|GH-\d|://|www\.", spelled)


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=80) | st.text(alphabet="`*_[]()<>#!|~\\ -+.1\n&;:@", max_size=40))
def test_no_text_at_all_makes_markup(text: str) -> None:
    assert markup(escaped(text)) == []


def test_a_block_of_code_is_not_closed_from_inside() -> None:
    rows = ["````", "`` ` ``"]
    tokens = MarkdownIt().parse("\n".join(fenced(rows)))
    assert [(token.type, token.content) for token in tokens] == [("fence", "````\n`` ` ``\n")]


def test_a_pull_request_shows_verdict_change_and_proof_first() -> None:
    text = to_markdown(samples.sick())
    visible = text.split("<details>")[0]
    assert visible.startswith("### ✗ The learning rate is above what the loss surface bears")
    assert "```diff\n- optimizer.lr = 3.0\n+ optimizer.lr = 0.1\n```" in visible
    assert "| with the remedy | 0.04121 | 0.03899 | 0.04233 |" in visible
    assert "the cause is confirmed." in visible
    for heading in ("The way through the guide", "Also found (1)", "Ruled out (3)", "Not checked (2)"):
        assert f"<summary>{heading}</summary>" in text


@settings(deadline=None, max_examples=20, suppress_health_check=list(HealthCheck))
@given(report=reports)
def test_markdown_of_any_report_has_no_html_but_its_own(report: Report) -> None:
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(to_markdown(report))
    inner = [child for token in tokens for child in token.children or ()]
    assert not {child.type for child in inner} & {"html_inline", "link_open", "image"}
    for token in tokens:
        if token.type == "html_block":
            assert re.fullmatch(r"(</?details>|<summary>[\w ,()]+</summary>|\s)+", token.content)


@settings(deadline=None, max_examples=20, suppress_health_check=list(HealthCheck))
@given(report=reports)
def test_sarif_keeps_to_its_schema(report: Report) -> None:
    written = json.loads(to_sarif(report), parse_constant=refuse_constant)
    jsonschema.Draft7Validator(SARIF).validate(written)
    run = written["runs"][0]
    assert len(run["results"]) == len(report.findings)
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]


def _with(verdict: Verdict, command: str) -> Report:
    report = samples.sick()
    finding = dataclasses.replace(report.findings[0], verdict=verdict)
    provenance = dataclasses.replace(report.provenance, command=command)
    return dataclasses.replace(report, findings=(finding,), provenance=provenance)


@pytest.mark.parametrize(
    ("where", "command", "uri", "row"),
    [
        ((), "unstuck diagnose src/train.py:make --budget 3x", "src/train.py", 1),
        (("model.py:31",), "unstuck diagnose src/train.py", "model.py", 31),
        (("train.py:7",), "unstuck diagnose src/train.py", "src/train.py", 7),
        ((), "unstuck diagnose '/tmp/my file.py'", "file:///tmp/my%20file.py", 1),
    ],
)
def test_sarif_points_to_the_users_line(where: tuple[str, ...], command: str, uri: str, row: int) -> None:
    verdict = dataclasses.replace(samples.sick().findings[0].verdict, where=where)
    result = json.loads(to_sarif(_with(verdict, command)))["runs"][0]["results"][0]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == uri and place["region"]["startLine"] == row
    assert result["level"] == "error"


def test_a_change_in_the_users_source_is_shown_with_its_line_in_every_form() -> None:
    trial = samples.trial()
    change = dataclasses.replace(trial.changes[0], line="train.py:62")
    finding = dataclasses.replace(samples.sick().findings[0], trial=dataclasses.replace(trial, changes=(change,)))
    report = dataclasses.replace(samples.sick(), findings=(finding,))
    assert "    optimizer.lr   3.0 → 0.1  (train.py:62)\n" in plain(report)
    assert "@@ train.py:62 @@\n- optimizer.lr = 3.0\n" in to_markdown(report)
    assert "optimizer.lr: 3.0 → 0.1 (train.py:62)" in to_junit(report).decode()
    page = to_html(report)
    assert "optimizer.lr: 3.0 → 0.1 (train.py:62)" in page and '<span class="quiet" translate="no">train.py:62' in page
    script = dataclasses.replace(
        report, provenance=dataclasses.replace(report.provenance, command="unstuck run train.py")
    )
    for told in (plain(script), to_markdown(script), to_html(script)):
        assert "unstuck init" in told and "makes this change by itself" not in told
    place = json.loads(to_sarif(report))["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("train.py", 62)


def test_sarif_names_the_layers_where_no_file_is_known() -> None:
    verdict = dataclasses.replace(samples.sick().findings[0].verdict, where=("encoder.0",))
    result = json.loads(to_sarif(_with(verdict, "unstuck.diagnose(setup)")))["runs"][0]["results"][0]
    assert result["locations"] == [{"logicalLocations": [{"name": "encoder.0", "kind": "member"}]}]


@settings(deadline=None, max_examples=20, suppress_health_check=list(HealthCheck))
@given(report=reports)
def test_junit_is_what_continuous_integration_reads(report: Report) -> None:
    root = ElementTree.fromstring(to_junit(report))
    assert root.tag == "testsuites" and len(root) == 1
    suite = root[0]
    cases = suite.findall("testcase")
    assert [child.tag for child in suite] == ["properties", *["testcase"] * len(cases), "system-out"]
    assert int(suite.attrib["tests"]) == len(cases)
    for tag, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        assert int(suite.attrib[name]) == len(suite.findall(f"testcase/{tag}"))
    for case in cases:
        assert {"classname", "name", "time"} == set(case.attrib) and float(case.attrib["time"]) >= 0
    assert len(suite.findall("testcase/failure")) == len(report.findings)


def test_junit_fails_what_was_found_and_errs_where_it_could_not_examine() -> None:
    root = ElementTree.fromstring(to_junit(samples.sick()))
    failures = {case.attrib["name"]: case.find("failure") for case in root.iter("testcase")}
    failure = failures["OPT001 learning-rate-too-high"]
    assert failure is not None and failure.attrib["type"] == "confirmed"
    assert "optimizer.lr: 3.0 → 0.1" in (failure.text or "")
    assert failures["SET001 target-shape-broadcast"] is None
    broken = dataclasses.replace(samples.cut_short(), error="The loss stage must run; got ValueError.")
    error = ElementTree.fromstring(to_junit(broken)).find(".//error")
    assert error is not None and error.attrib["message"] == "The loss stage must run; got ValueError."


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_writes_something_of_its_own(tmp_path: Path, ending: str) -> None:
    save(samples.sick(), tmp_path / f"report{ending.upper()}")
    assert "OPT001" in (tmp_path / f"report{ending.upper()}").read_text(encoding="utf-8")
