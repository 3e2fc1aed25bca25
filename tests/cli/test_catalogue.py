"""The catalogue, read from the text of rule files."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import write_rule
from unstuck import catalogue


def test_entries_come_in_the_order_of_the_guide(rule_folder: Path) -> None:
    assert [entry.code for entry in catalogue.entries()] == ["SET001", "OPT001", "OPT002", "MIS001"]


def test_an_entry_has_the_name_of_its_file_and_the_sections_of_its_docstring(rule_folder: Path) -> None:
    entry = catalogue.entry("OPT001")
    assert (entry.name, entry.title) == ("learning-rate-too-high", "The learning rate is too high.")
    assert entry.family == "OPT" and entry.path == rule_folder / "learning_rate_too_high.py"
    assert tuple(entry.sections) == catalogue.HEADINGS
    assert entry.sections["Remedy"] == "Lower the rate."
    assert catalogue.problems(entry) == ()


def test_a_summary_keeps_the_first_paragraph_of_why_it_hurts(rule_folder: Path) -> None:
    summary = catalogue.entry("OPT001").summary()
    assert summary.why == "A step that is too long lands higher on the other side."


@pytest.mark.parametrize("wanted", ["OPT001", "opt001", " learning-rate-too-high ", "learning_rate_too_high"])
def test_a_rule_is_found_by_code_or_name(rule_folder: Path, wanted: str) -> None:
    assert catalogue.entry(wanted).code == "OPT001"


@pytest.mark.parametrize(
    ("wanted", "advice"),
    [
        ("OPT01", "Did you mean OPT001 learning-rate-too-high"),
        ("learning-rate", "OPT002 learning-rate-too-low"),
        ("lerning-rate-to-high", "Did you mean OPT001 learning-rate-too-high"),
        ("zzz", "`unstuck rules` lists them."),
        ("", "`unstuck rules` lists them."),
    ],
)
def test_a_wrong_name_is_answered_by_those_that_come_close(rule_folder: Path, wanted: str, advice: str) -> None:
    with pytest.raises(LookupError, match="A diagnosis must be named by its code or its name; got ") as caught:
        catalogue.entry(wanted)
    assert advice in str(caught.value)


def test_a_file_that_is_no_python_is_passed_over_with_a_warning(rule_folder: Path) -> None:
    (rule_folder / "broken.py").write_text("RULE = (")
    with pytest.warns(UserWarning, match="broken.py was not read"):
        assert len(catalogue.entries()) == 4


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ('RULE = Rule("SET009")\n', "the headings must be"),
        ('"""No full stop"""\nRULE = Rule("SET009")\n', "the title must be one sentence"),
        ('"""T.\n\n## Remedy\n\n## References\nx\n"""\nRULE: Rule = Rule("SET009")\n', "'Remedy' is empty"),
        ('"""T."""\nRULE = Rule(code="XYZ1")\n', "the code must be a family"),
    ],
)
def test_what_a_rule_file_lacks_is_said(tmp_path: Path, source: str, problem: str) -> None:
    path = tmp_path / "some_rule.py"
    path.write_text(source)
    entry = catalogue.read(path)
    assert entry is not None
    assert any(problem in said for said in catalogue.problems(entry))


def test_rules_of_other_packages_are_read_without_importing_them(
    rule_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "other_package" / "rules"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").write_text("raise RuntimeError('imported')\n")
    write_rule(package, "gradient_too_noisy", "OPT090", "The gradient is too noisy.")
    points = [
        importlib.metadata.EntryPoint("noisy", "other_package.rules.gradient_too_noisy", catalogue.GROUP),
        importlib.metadata.EntryPoint("gone", "other_package_that_is_gone", catalogue.GROUP),
    ]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.warns(UserWarning, match="'other_package_that_is_gone' was not found"):
        codes = [entry.code for entry in catalogue.entries()]
    assert codes == ["SET001", "OPT001", "OPT002", "OPT090", "MIS001"]
    assert "other_package" not in sys.modules


def test_every_rule_of_ours_is_documented_as_it_must_be() -> None:
    entries = catalogue.entries()
    assert {entry.code: catalogue.problems(entry) for entry in entries if catalogue.problems(entry)} == {}
    assert len({entry.code for entry in entries}) == len(entries)
