"""What was ruled out, shortened for the page; and the page in ASCII."""

from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import HealthCheck, given, settings

from tests.render import samples
from tests.render.strategies import reports
from unstuck.quantity import Quantity, Threshold
from unstuck.render.ascii import can_draw, in_ascii
from unstuck.render.lines import bare, cells
from unstuck.render.machine import from_json, to_json
from unstuck.render.page import page
from unstuck.render.plot import strip
from unstuck.render.ruled_out import telling
from unstuck.render.text import plain
from unstuck.report import Evidence, Finding, Outcome, Report, RuleSummary, Status, Verdict

LIMIT = Threshold(1.0, "1", "a paper")


def absent(code: str, value: float | None = None) -> Finding:
    evidence = () if value is None else (Evidence(Quantity("size", value), LIMIT),)
    verdict = Verdict(Outcome.ABSENT, f"{code} is absent.", evidence)
    return Finding(RuleSummary(code, f"name-of-{code}", "A fault."), Outcome.ABSENT, Status.SUSPECTED, verdict)


REFUTED = samples.sick().ruled_out[2]
MANY = (
    *(absent(f"SET{number:03}") for number in range(1, 21)),
    *(absent(f"DAT{number:03}", 10.0**number) for number in range(1, 9)),
    absent("XYZ001"),
    REFUTED,
)


def many() -> Report:
    return dataclasses.replace(samples.sick(), ruled_out=MANY)


def test_what_a_trial_refuted_comes_first_then_what_came_nearest_to_its_limit() -> None:
    shown, rest = telling(MANY)
    assert [finding.rule.code for finding in shown] == ["OPT002", *(f"DAT{number:03}" for number in range(1, 6))]
    assert len(shown) + len(rest) == len(MANY)


def test_the_rest_is_summed_up_by_family() -> None:
    text = plain(many())
    assert "  OPT002 learning-rate-too-low: Its remedy gains -13% of the span [-20%, -4%].\n" in text
    assert (
        """
  and 24 more, each by a number of its own (`--verbose` shows them):
    the program (20): SET001–SET020
    the data (3): DAT006–DAT008
    other packages (1): XYZ001
"""
        in text
    )


def test_all_of_it_is_there_for_who_asks_and_in_json() -> None:
    text = plain(many(), every_number=True)
    for finding in MANY:
        assert f"  {finding.rule.code} {finding.rule.name}: " in text
    assert "--verbose" not in text
    assert from_json(to_json(many())).ruled_out == MANY


def test_few_are_all_shown() -> None:
    shown, rest = telling(MANY[:8])
    assert len(shown) == 8 and not rest


@pytest.mark.parametrize(("encoding", "can"), [("utf-8", True), ("ascii", False), ("cp1252", False), (None, False)])
def test_braille_needs_an_encoding_that_has_it(encoding: str | None, can: bool) -> None:
    assert can_draw(encoding) is can


def test_in_ascii_a_curve_keeps_its_shape() -> None:
    report = samples.sick()
    text = "\n".join(bare(line) for line in in_ascii(lambda width: page(report, width), 80))
    assert text.isascii() or set(text) - set(map(chr, range(128))) <= {"×"}
    assert re.search(r"^ +2\.54 \|[|'.-]+ +\|[|'.-]+$", text, re.MULTILINE)
    assert "optimizer.lr   3.0 -> 0.1" in text and "|-o no -- overfitting" in text


@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
@given(report=reports)
def test_the_page_in_ascii_keeps_its_shape_and_its_width(report: Report) -> None:
    drawn = page(report, 80)
    spelled = in_ascii(lambda width: page(report, width), 80)
    assert sum(len(bare(line)) > 80 for line in spelled) == 0 or cells(bare(drawn[0])) > 76
    assert not any(0x2800 <= ord(character) < 0x2900 for line in spelled for character in bare(line))


def test_scores_are_drawn_on_one_axis() -> None:
    rows = [bare(line) for line in strip([("sick", (4.0, 3.9), "sick"), ("well", (1.0, 1.0), "well")], 40, "")]
    assert rows == [
        "sick  │" + " " * 31 + "●" * 2,
        "well  │●",
        "      └" + "─" * 33,
        "       1" + " " * 31 + "4",
    ]


def test_one_score_is_no_plot() -> None:
    assert strip([("sick", (4.0,), "sick"), ("well", (float("nan"),), "well")], 40) == []
