"""JSON: there and back again, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import jsonschema
import numpy
import pytest
from hypothesis import HealthCheck, given, settings

from tests.render import samples
from tests.render.strategies import reports
from unstuck.render import save, schema
from unstuck.render.machine import from_json, to_json
from unstuck.render.text import plain
from unstuck.report import SCHEMA_VERSION, Report

SCHEMA_FILE = Path(__file__).parents[2] / "docs" / "report-schema.json"
VALIDATOR = jsonschema.Draft202012Validator(schema.schema())


def refuse_constant(name: str) -> None:
    raise AssertionError(f"{name} is no strict JSON")


@settings(deadline=None, max_examples=50, suppress_health_check=list(HealthCheck))
@given(report=reports)
def test_a_report_comes_back_as_it_was(report: Report) -> None:
    data = to_json(report)
    again = from_json(data)
    assert repr(again) == repr(report)  # nan is not equal to itself, but reads the same
    assert to_json(again) == data
    assert plain(again) == plain(report)


@settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))
@given(report=reports)
def test_what_is_written_is_strict_json_and_keeps_to_the_schema(report: Report) -> None:
    written = json.loads(to_json(report), parse_constant=refuse_constant)
    VALIDATOR.validate(written)


def test_numbers_that_are_not_finite_are_words() -> None:
    report = samples.cut_short()
    written = json.loads(to_json(report))
    assert written["curves"][0]["values"][-3:] == ["inf", "nan", "nan"]
    values = from_json(to_json(report)).curves[0].values
    assert values[4] == math.inf and math.isnan(values[5])


def test_a_word_in_the_chart_that_reads_like_a_number_stays_a_word() -> None:
    chart = {"word": "nan", "escaped": "\\nan", "number": math.nan, "twice": "\\\\-inf"}
    again = from_json(to_json(dataclasses.replace(samples.sick(), chart=chart))).chart
    assert again["word"] == "nan" and again["escaped"] == "\\nan" and again["twice"] == "\\\\-inf"
    assert math.isnan(again["number"])


def test_a_chart_may_hold_numpy_numbers_and_numbers_too_large_for_json() -> None:
    chart = {"array": numpy.arange(3), "scalar": numpy.float32(0.5), "huge": 10**400, "large": 2**70}
    again = from_json(to_json(dataclasses.replace(samples.sick(), chart=chart))).chart
    assert again == {"array": [0, 1, 2], "scalar": 0.5, "huge": math.inf, "large": float(2**70)}


def test_a_lone_surrogate_becomes_a_question_mark() -> None:
    report = dataclasses.replace(samples.sick(), sentence="caf\udce9", chart={"\udce9": "\udce9"})
    again = from_json(to_json(report))
    assert again.sentence == "caf?" and again.chart == {"?": "?"}
    assert "\\udce9" in plain(report)


def _altered(**fields: object) -> bytes:
    return json.dumps({**json.loads(to_json(samples.sick())), **fields}).encode()


@pytest.mark.parametrize(
    ("data", "got", "do"),
    [
        (b"", "something that is no JSON", "Write one with"),
        (b"\xff\xfe", "something that is no JSON", "Write one with"),
        (b"[" * 100_000, "something that is no JSON", "Write one with"),
        (b"[1, 2]", "JSON without the field `schema`", "Write one with"),
        (b'{"a": 1}', "JSON without the field `schema`", "Write one with"),
        (b'{"schema": "https://x"}', "a `schema` that is no version number", "Write one with"),
        (b'{"schema": true}', "a `schema` that is no version number", "Write one with"),
        (b'{"schema": 1}', "a file in which something is amiss", "Write one with"),
        (b'{"schema": 1, "steps": []}', "what `unstuck treat` wrote", "Take one of the reports"),
        (_altered(schema=SCHEMA_VERSION + 1), "layout 2", "Install a newer `unstuck`."),
        (_altered(branch_taken="sideways"), "$.branch_taken", "Write one with"),
        (_altered(curves=[{"label": "x", "steps": [], "values": ["high"]}]), "$.curves[0].values[0]", "Write"),
        (_altered(chart=[1]), "`chart` is no object", "Write one with"),
    ],
)
def test_a_foreign_or_newer_file_is_refused_in_one_sentence(data: bytes, got: str, do: str) -> None:
    with pytest.raises(ValueError, match="A report must be a JSON file that `unstuck` wrote; got ") as caught:
        from_json(data)
    assert got in str(caught.value) and do in str(caught.value)


def test_the_schema_in_the_documentation_is_that_of_the_records() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema.written(), (
        "run: python -m unstuck.render.schema > docs/report-schema.json"
    )


def test_the_schema_describes_every_record_and_field() -> None:
    jsonschema.Draft202012Validator.check_schema(schema.schema())
    for name, definition in schema.schema()["$defs"].items():
        assert definition.get("description"), name
        for field, kind in definition.get("properties", {}).items():
            assert kind.get("description"), f"{name}.{field}"


@pytest.mark.parametrize("name", ["report.json", "REPORT.JSON"])
def test_a_report_is_saved_as_json(tmp_path: Path, name: str) -> None:
    samples.sick().save(tmp_path / name)
    assert from_json((tmp_path / name).read_bytes()).sentence == samples.sick().sentence


def test_a_report_is_saved_as_text(tmp_path: Path) -> None:
    save(samples.sick(), tmp_path / "report.txt")
    assert (tmp_path / "report.txt").read_text(encoding="utf-8") == plain(samples.sick())


@pytest.mark.parametrize(("name", "got"), [("report.pdf", "ends in '.pdf'"), ("report", "without an ending")])
def test_another_ending_is_refused(tmp_path: Path, name: str, got: str) -> None:
    with pytest.raises(ValueError, match=r"must end in \.html, .* or \.xml; got ") as caught:
        samples.sick().save(tmp_path / name)
    assert got in str(caught.value)
    assert not list(tmp_path.iterdir())
