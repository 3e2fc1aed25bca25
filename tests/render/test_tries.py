"""What a treatment tried, as a tree: in text and on the page."""

from __future__ import annotations

import dataclasses
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest

from tests.render import samples
from unstuck.quantity import Quantity
from unstuck.render.cure import plain_cure
from unstuck.render.html import cure_to_html
from unstuck.render.html.cure import cards_of
from unstuck.render.tries import MOST, rounds
from unstuck.report import Applies, Finding, Outcome, Report, Status

TREATED = "Treated learning-rate-too-high. Examined again: it trains."


def cured(*steps: Report, sentence: str = TREATED) -> SimpleNamespace:
    return SimpleNamespace(steps=steps, before=(2.3, 2.2), after=(2.3, 0.04), sentence=sentence)


def tried(code: str, gain: float) -> Finding:
    """A trial that did not help so much."""
    finding = samples.sick().ruled_out[-1]
    assert finding.trial is not None
    trial = dataclasses.replace(finding.trial, gain=Quantity("gain", gain, "1", gain - 0.01, gain + 0.01))
    return dataclasses.replace(finding, rule=dataclasses.replace(finding.rule, code=code), trial=trial)


def test_each_round_shows_what_was_tried_and_what_was_kept_with_numbers() -> None:
    text = plain_cure(cured(samples.sick(), samples.healthy()))
    assert (
        """\
  Round 1, as given
  ├─○ OPT002 learning-rate-too-low                                 does not help
  │     training loss at the end 2.3 → 2.6, gains -13% of the span [-20%, -4%]
  └─● OPT001 learning-rate-too-high                                         kept
      Lower the learning rate from 3.0 to 0.1.
      optimizer.lr   3.0 → 0.1
      mean of 3 seeds: training loss at the end 2.31 → 0.0408, gains 98% of the
      span [97%, 99.7%]

      Round 2, with what was kept so far
"""
        in text
    )
    assert "      └─● It trains: nothing that was examined" in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_first_screen_tells_of_every_remedy_that_was_kept_in_a_round() -> None:
    report = samples.sick()
    cause, other = report.findings[0], tried("OPT019", 0.9)
    assert cause.trial is not None
    joint = dataclasses.replace(cause.trial, together_with=("OPT019",))
    findings = (dataclasses.replace(cause, trial=joint), dataclasses.replace(other, remedy="Centre what feeds it."))
    cure = cured(dataclasses.replace(report, findings=findings), samples.healthy())
    wrong, changed, _ = cards_of(cure, ())
    assert wrong.answer == f"{cause.rule.title} {other.rule.title}"
    assert changed.answer == f"{cause.remedy} Centre what feeds it."


def test_a_last_round_is_kept_only_where_it_was_treated() -> None:
    again = samples.sick()
    late = "Treated learning-rate-too-high. It was not examined again, for want of time."
    assert [each.kept is not None for each in rounds(cured(again, sentence=late))] == [True]
    assert "It was not examined again, for want of time." in plain_cure(cured(again, sentence=late)).split("Step by")[1]
    none = rounds(cured(again, sentence="Nothing was changed. The learning rate is too high."))
    assert none[0].kept is None and [each.rule.code for each in none[0].others] == ["OPT001", "OPT002"]
    advice = dataclasses.replace(again.findings[0], applies=Applies.ADVICE)
    unmade = dataclasses.replace(again, findings=(advice, *again.findings[1:]))
    assert rounds(cured(unmade, sentence=late))[0].kept is None
    suspected = dataclasses.replace(again.findings[0], status=Status.SUSPECTED)
    assert rounds(cured(dataclasses.replace(again, findings=(suspected,)), samples.healthy()))[0].kept is None


def test_of_many_trials_those_that_gained_most_are_shown_and_the_rest_counted() -> None:
    many = tuple(tried(f"SET{number:03}", number / 100) for number in range(MOST + 4))
    report = dataclasses.replace(samples.sick(), ruled_out=many)
    text = plain_cure(cured(report, samples.healthy())).split("Round 2")[0]
    assert [code for code in (f"SET{number:03}" for number in range(MOST + 4)) if code in text] == [
        f"SET{number:03}" for number in range(4, MOST + 4)
    ]
    assert text.index("SET009") < text.index("SET004") and "├─○ 4 others that gained less" in text
    page = cure_to_html(cured(report, samples.healthy()))
    assert "<summary>4 others that gained less</summary>" in page and page.count("SET000") == 1 + page.count(
        "SET000", page.index("The first examination")
    )


def test_what_cures_only_together_is_kept_together() -> None:
    first = samples.sick().findings[0]
    assert first.trial is not None
    joint = dataclasses.replace(first, trial=dataclasses.replace(first.trial, together_with=("OPT002",)))
    text = plain_cure(cured(dataclasses.replace(samples.sick(), findings=(joint,)), samples.healthy()))
    assert next(line for line in text.splitlines() if "OPT002" in line).endswith(" kept as well")


class Depth(HTMLParser):
    """How deep the lists of the tree are, and what stands at each depth."""

    def __init__(self) -> None:
        super().__init__()
        self.depth, self.seen, self.inside = 0, list[tuple[int, str]](), False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside |= ("class", "tree") in attrs
        self.depth += self.inside and tag == "ul"
        if tag == "section":
            self.inside = False

    def handle_endtag(self, tag: str) -> None:
        self.depth -= self.inside and tag == "ul"

    def handle_data(self, data: str) -> None:
        if self.inside and data.strip():
            self.seen.append((self.depth, " ".join(data.split())))


def test_the_page_holds_the_tree_as_lists_one_in_the_other() -> None:
    parser = Depth()
    parser.feed(cure_to_html(cured(samples.sick(), samples.sick(), samples.healthy())))
    assert parser.depth == 0
    assert [depth for depth, text in parser.seen if text.startswith("Round ")] == [0, 1, 2]
    assert [depth for depth, text in parser.seen if text == "kept"] == [1, 2]
    assert (3, samples.healthy().sentence) in parser.seen
    assert (1, "training loss at the end 2.31 → 0.0408") in parser.seen


def test_what_comes_from_the_users_program_is_no_markup_in_the_tree() -> None:
    hostile = dataclasses.replace(samples.sick().findings[0].rule, name="<img src=x onerror=alert(1)>")
    finding = dataclasses.replace(samples.sick().findings[0], rule=hostile, remedy="<script>alert(1)</script>")
    page = cure_to_html(cured(dataclasses.replace(samples.sick(), findings=(finding,)), samples.healthy()))
    assert "<img src=x" not in page and "<script>alert" not in page and "&lt;img src=x" in page


@pytest.mark.parametrize(
    ("steps", "wrong", "came"),
    [
        ((samples.sick(), samples.healthy()), "Proven by trying it on 3 seeds.", "2.2 as given, 0.04 as cured"),
        (
            (samples.sick(), samples.sick(), samples.healthy()),
            "Each proven by trying it on 3 seeds at least.",
            "It tra",
        ),
    ],
)
def test_the_first_screen_says_what_was_wrong_what_was_changed_and_what_came_of_it(
    steps: tuple[Report, ...], wrong: str, came: str
) -> None:
    page = cure_to_html(cured(*steps)).split("Step by step")[0]
    for question in ("What was wrong?", "What was changed?", "What came of it?"):
        assert page.count(f">{question}<") == 1
    assert wrong in page and came in page and steps[0].findings[0].outcome is Outcome.PRESENT
