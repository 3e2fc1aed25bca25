"""The documentation names what there is: commands that can be typed, rules that exist, a page for each."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from docs import pages
from unstuck import catalogue
from unstuck.cli.parser import build, with_json_bound

DOCS = Path(__file__).parents[1] / "docs"
FAQ = (DOCS / "faq.md").read_text(encoding="utf-8")
ENTRIES = {entry.code: entry for entry in catalogue.entries(catalogue.FOLDER)}
GENERATED = pages.generated()


def questions() -> dict[str, str]:
    parts = re.split(r"^## (.+)$", FAQ, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def commands(text: str) -> list[str]:
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    rows = [row.removeprefix("- run: ").strip() for block in blocks for row in block.splitlines()]
    return [row for row in rows if row.startswith("unstuck ")]


def parsed(command: str) -> str:
    """The rule that a command names, or ""."""
    options = build().parse_args(with_json_bound(shlex.split(command)[1:]))
    assert options.command
    return str(getattr(options, "rule", ""))


def test_there_are_twenty_questions_each_ending_in_one_command_and_pointing_to_rules() -> None:
    asked = questions()
    assert len(asked) == 20
    for question, answer in asked.items():
        (command,) = commands(answer)
        assert answer.rstrip().endswith(f"```\n{command}\n```"), question
        named = parsed(command)
        assert not named or named in ENTRIES, question
        assert re.search(r"\[[A-Z]{3}\d{3}\s", answer) or "treat" in command, question


def test_the_links_of_the_questions_lead_to_the_pages_of_their_rules() -> None:
    links = re.findall(r"\[([A-Z]{3}\d{3})\s+([\w-]+)\]\((.*?)\)", FAQ)
    assert len(links) > 40
    assert len(links) == len(re.findall(r"\b[A-Z]{3}\d{3}\b", re.sub(r"^unstuck .*$", "", FAQ, flags=re.MULTILINE)))
    for code, name, target in links:
        assert ENTRIES[code].name == name
        assert target == f"rules/{name}.md" and target in GENERATED


@pytest.mark.parametrize("name", ["quick-start.md", "report.md"])
def test_commands_on_the_other_pages_can_be_typed(name: str) -> None:
    typed = commands((DOCS / name).read_text(encoding="utf-8"))
    assert typed
    for command in typed:
        assert parsed(command) in {"", *ENTRIES}


@pytest.mark.parametrize("code", ENTRIES)
def test_every_rule_has_a_page_with_all_that_its_file_says(code: str) -> None:
    entry = ENTRIES[code]
    page = GENERATED[f"rules/{entry.name}.md"]
    assert page.startswith(f"# {code} {entry.name}\n\n**{entry.title}**")
    for heading in (*catalogue.HEADINGS, "How often it is right"):
        assert f"\n## {heading}\n" in page
    assert parsed(commands(page)[-1]) == code
    for target in re.findall(r"\]\(([\w-]+\.md)\)", page):
        assert f"rules/{target}" in GENERATED


def test_the_accuracy_on_a_page_is_that_of_the_benchmark() -> None:
    outcomes = json.loads((DOCS.parent / "bench" / "baseline.json").read_text())
    sick = [
        each for each in outcomes if each["truth"] == ["OPT011"] and each["group"] != "pair" and not each["skipped"]
    ]
    right = sum(each["named"][:1] == ["OPT011"] for each in sick)
    figures = pages.measured()["OPT011"]
    assert figures[:2] == [str(len(sick)), f"{right / len(sick):.2f}"]
    assert f"| {' | '.join(figures)} |" in GENERATED["rules/symmetric-initialisation.md"]


def test_where_nothing_was_measured_the_page_says_so() -> None:
    assert "no patient with this fault" in pages.accuracy_of("NEW001", pages.measured(), {})


def test_lists_and_tables_get_the_empty_line_that_the_site_needs() -> None:
    assert pages.spaced("Whether:\n- a\n  more\n- b\n| x |\n|---|") == "Whether:\n\n- a\n  more\n- b\n\n| x |\n|---|"
    assert pages.spaced("```\ntext\n- no list\n```") == "```\ntext\n- no list\n```"


def test_every_measurement_is_listed_with_what_it_holds() -> None:
    rows = dict(pages.measurements())
    assert len(rows) > 40 and all(rows.values())
    assert {"FirstBatch", "RangeTest", "GradientNoise"} <= set(rows)


def test_every_page_is_in_the_navigation() -> None:
    site = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    for page in [path.name for path in DOCS.glob("*.md")] + [name for name in GENERATED if "/" not in name]:
        assert f": {page}" in site, page
