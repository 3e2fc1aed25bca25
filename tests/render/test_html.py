"""Reports as HTML: complete, in order, self-contained, and closed to whatever the user's strings hold."""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.render import samples
from tests.render.strategies import reports
from unstuck.render.html import embedded, guide, policy, to_html
from unstuck.render.html.view import cards
from unstuck.report import Branch, Change, Outcome, Report, Unchecked

HOSTILE = "</script><img src=x onerror=alert(1)>\"'`${7*7}{{7*7}}<!--"
HEADINGS = ["The way through the guide", "The cause", "Also found", "Ruled out", "Not checked, and why"]
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Elements, text and what the scripts hold; an element that is closed out of turn is an error."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag != "p" or self.open[-1] == "p":
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif not self.open or self.open[-1] != "style":
            self.text.append(data)

    @property
    def shown(self) -> str:
        return " ".join(" ".join(self.text).split())


def hostile() -> Report:
    """A report in which every string of the user's is hostile."""
    report = samples.sick()
    cause = report.findings[0]
    assert cause.trial is not None
    layers = [
        {"name": HOSTILE, "depth": depth, "gradient_norm": [1.0, 2.0], "weight_norm": [3.0, 1.0]} for depth in (0, 1)
    ]
    bad = dataclasses.replace(
        cause,
        rule=dataclasses.replace(cause.rule, name=HOSTILE, title=HOSTILE, why=HOSTILE),
        verdict=dataclasses.replace(cause.verdict, sentence=HOSTILE, where=(HOSTILE,)),
        remedy=HOSTILE,
        trial=dataclasses.replace(
            cause.trial, remedy=HOSTILE, score=HOSTILE, note=HOSTILE, changes=(Change(HOSTILE, HOSTILE, HOSTILE),)
        ),
    )
    return dataclasses.replace(
        report,
        sentence=HOSTILE,
        error=HOSTILE + " too",
        findings=(bad, *report.findings[1:]),
        notes=(HOSTILE,),
        setup={HOSTILE: HOSTILE},
        curves=tuple(dataclasses.replace(curve, label=HOSTILE) for curve in report.curves),
        provenance=dataclasses.replace(report.provenance, command=HOSTILE, versions={HOSTILE: HOSTILE}),
        chart={"History": {"record": {"sampled_steps": [0, 10], "layers": layers}}},
    )


def test_the_sections_come_in_the_order_of_the_issue() -> None:
    page = Page(to_html(samples.sick())).shown
    places = [page.index(heading) for heading in HEADINGS]
    assert places == sorted(places)
    assert page.index("What was seen") < page.index("Why it hurts") < page.index("The trial that proves it")
    assert page.index("The trial that proves it") < page.rindex("What to change")


def test_the_first_screen_says_what_is_wrong_how_sure_and_what_to_change() -> None:
    page = Page(to_html(samples.sick())).shown
    first = page[: page.index("The way through the guide")]
    assert samples.sick().sentence in first
    assert "What is wrong? The learning rate is above what the loss surface bears." in first
    assert "How sure? Proven by trying, 3 seeds" in first
    assert "What to change? Lower the learning rate to 0.1. optimizer.lr: 3.0 → 0.1" in first


def test_a_healthy_report_accuses_nothing() -> None:
    page = Page(to_html(samples.healthy())).shown
    assert "What is wrong? Nothing that was looked for" in page
    assert "What to change" not in page


def test_a_report_that_was_cut_short_says_so_first() -> None:
    page = Page(to_html(samples.cut_short())).shown
    assert page.index("Cut short") < page.index("The way through the guide")
    assert "this is a suspicion, not yet a cause" in page
    assert "What may be wrong?" in page and "What is wrong?" not in page


def test_the_page_asks_for_nothing_from_outside() -> None:
    html = to_html(samples.sick())
    page = Page(html)
    for tag, attributes in page.elements:
        assert tag not in {"link", "iframe", "object", "embed", "base"}
        assert not {"src", "srcset", "action", "background"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style and "@import" not in style


def test_the_policy_lets_only_the_scripts_of_the_page_run() -> None:
    page = Page(to_html(samples.sick()))
    (meta,) = [each for tag, each in page.elements if tag == "meta" and "http-equiv" in each]
    data, words, *programs = page.scripts
    assert meta["content"] == policy(*programs)
    assert "default-src 'none'" in policy() and "unsafe-eval" not in policy() and "script-src 'none'" in policy()
    assert json.loads(data)["trial"]["$schema"].startswith("https://vega.github.io/schema/vega-lite/")


def test_hostile_strings_stay_text() -> None:
    html = to_html(hostile())
    page = Page(html)
    assert not [tag for tag, _ in page.elements if tag == "img"]
    assert "alert(1)" in page.shown  # it is shown, as the text that it is
    assert "49" not in page.shown.replace(HOSTILE, "")  # no template looked at it
    assert [tag for tag, _ in page.elements].count("script") == 4
    layers = json.loads(page.scripts[0])["layer-gradients"]["data"]["values"]
    assert layers[0]["layer"].startswith("</script><img")


@pytest.mark.parametrize("text", [HOSTILE, "\u2028\u2029", "<!--<script>", "&lt;", "\ud800"])
def test_embedded_json_ends_no_script_and_reads_as_it_was(text: str) -> None:
    written = embedded({"a": text})
    assert not re.search(r"[<>&\u2028\u2029]", written)
    assert json.loads(written) == {"a": text.encode("utf-8", "replace").decode("utf-8")}


def test_numbers_that_are_not_finite_become_null() -> None:
    assert embedded({"a": [float("nan"), float("inf"), 1.25]}) == '{"a":[null,null,1.25]}'


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(report=reports)
def test_every_report_gives_a_well_formed_page(report: Report) -> None:
    page = Page(to_html(report))
    assert [tag for tag, _ in page.elements].count("h1") == 1
    to_html(report).encode("utf-8")


def test_the_way_taken_is_lit_to_its_end() -> None:
    node = guide.tree(samples.sick())
    yes, no = node.ways
    assert yes.lit and not no.lit and yes.fork is not None
    assert guide.end_of(node) == "optimisation fails"
    assert guide.destination(samples.sick(), node) == ""
    healthy = guide.tree(samples.healthy())
    assert guide.end_of(healthy) == "it trains"


def test_a_branch_that_the_questions_do_not_lead_to_is_said() -> None:
    report = dataclasses.replace(samples.sick(), branch_taken=Branch.OVERFITTING)
    assert guide.destination(report, guide.tree(report)) == "Trying it out led here: overfitting."


def test_an_undecided_fork_lights_neither_way() -> None:
    question = dataclasses.replace(samples.sick().questions[0], answer=Outcome.UNDECIDED)
    node = guide.tree(dataclasses.replace(samples.sick(), questions=(question,)))
    assert node.undecided and not any(way.lit for way in node.ways)


def test_save_writes_html(tmp_path: Path) -> None:
    samples.sick().save(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == to_html(samples.sick())
    assert (tmp_path / "report.html").stat().st_size < 1_500_000


def first_screen(report: Report) -> list[tuple[str, str, str]]:
    return [(card.question, str(card.answer), str(card.more)) for card in cards(report)]


def test_the_first_screen_of_an_error_says_what_to_mend() -> None:
    error = "The forward stage must run; got RuntimeError: (32x8 and 9x16). Make `Linear(9, 16)` take 8. "
    report = dataclasses.replace(samples.cut_short(), findings=(), error=error, complete=False)
    (wrong, sure, change) = first_screen(report)
    assert wrong[1] == "It stops with an error" and sure[0] == "How sure?"
    assert change == ("What to change?", "Make <code>Linear(9, 16)</code> take 8.", "")
    assert "it could not be answered to the end" in to_html(dataclasses.replace(report, questions=()))
    assert len(first_screen(dataclasses.replace(report, error="It broke."))) == 2


def test_every_first_screen_without_a_cause_says_what_next() -> None:
    cut = dataclasses.replace(samples.cut_short(), findings=(), error="")
    assert first_screen(cut)[-1][:2] == ("What next?", "Run it again, and let it end.")
    assert first_screen(samples.healthy())[-1][:2] == ("What next?", "Keep it as it is")
    open_ = dataclasses.replace(samples.healthy(), branch_taken=Branch.UNDECIDED, unchecked=())
    assert first_screen(open_)[-1][1].startswith("See what was tried")
    late = (Unchecked("OPT001 learning-rate-too-high", "the time budget was used up before it was tried"),)
    assert first_screen(dataclasses.replace(open_, unchecked=late))[-1][1].startswith("Give it more time")


def test_a_long_remedy_is_answered_by_its_first_sentence() -> None:
    finding = dataclasses.replace(
        samples.sick().findings[0], remedy="Lower the rate to 0.1. Or call `warm_up()` first.", trial=None
    )
    *_, change = first_screen(dataclasses.replace(samples.sick(), findings=(finding,)))
    assert change[1:] == ("Lower the rate to 0.1.", "Or call <code>warm_up()</code> first.")
    foreign = dataclasses.replace(finding, remedy="Use `<img src=x>`.")
    assert "<img" not in first_screen(dataclasses.replace(samples.sick(), findings=(foreign,)))[-1][1]
