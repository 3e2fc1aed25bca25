"""No sentence reaches a reader past the catalogues: pages are rendered in a language of English between ⟦ and ⟧."""

import dataclasses
import functools
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import reports
from tests.render import samples
from tools.messages.catalogues import extracted
from unstuck.cli import command
from unstuck.languages import translating, use
from unstuck.languages.templates import HOLE
from unstuck.languages.translating import Messages
from unstuck.render import text
from unstuck.render.html import framed, to_html
from unstuck.render.junit import to_junit
from unstuck.render.machine import to_json
from unstuck.render.pull_request import to_markdown
from unstuck.render.sarif import to_sarif
from unstuck.report import Report

ENGLISH = re.compile(r"[A-Za-z]{2,}[,;:]? [A-Za-z]{2,}[,;:]? [A-Za-z]{2,}")
SAMPLES = {"sick": samples.sick, "healthy": samples.healthy, "cut short": samples.cut_short}


@functools.cache
def messages() -> tuple[str, ...]:
    return tuple({message: None for domain in extracted().values() for message in domain})


def bracketed(message: str) -> str:
    return f"⟦{HOLE.sub(lambda hole: f'⟧{hole[0]}⟦', message)}⟧"


@functools.cache
def in_brackets() -> Messages:
    return Messages({message: bracketed(message) for message in messages()})


def strings(record: object) -> Iterator[str]:
    """What a report says itself."""
    if isinstance(record, str):
        yield record
    elif dataclasses.is_dataclass(record):
        for field in dataclasses.fields(record):
            yield from strings(getattr(record, field.name))
    elif isinstance(record, (tuple, list)):
        for item in record:
            yield from strings(item)


@pytest.fixture
def speak(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(translating, "messages_of", lambda _: in_brackets())
    with use("zh"):
        yield


def left_in_english(page: str) -> list[str]:
    """Runs of three English words or more outside ⟦ ⟧; what is too long for its place is cut at "…"."""
    flat, before = " ".join(page.split()), ""
    while flat != before:
        before, flat = flat, re.sub(r"⟦[^⟦⟧]*[⟧…]", "§", flat)
    return ENGLISH.findall(flat)


def knowing(report: Report, monkeypatch: pytest.MonkeyPatch) -> Report:
    """Take what a report made by hand says for messages, so that only what the page says itself is looked at."""
    known = {text: bracketed(text) for text in (*messages(), *strings(report))}
    with_all = Messages(known)
    monkeypatch.setattr(translating, "messages_of", lambda _: with_all)
    return dataclasses.replace(report, provenance=dataclasses.replace(report.provenance, command="unstuck diagnose"))


def texts_of(page: str) -> list[str]:
    """The texts and labels of an HTML page, without its code and its pictures, whose captions join many clauses."""
    bare = re.sub(r"<(script|style|pre|code|del|ins|figure)\b.*?</\1>", "", page, flags=re.DOTALL)
    labels = re.findall(r'(?:aria-label|title|alt)="([^"]*)"', bare)
    return [html.unescape(text) for text in (*re.sub(r"<[^>]*>", "\n", bare).split("\n"), *labels)]


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.usefixtures("speak")
def test_the_pages_say_nothing_past_the_catalogues(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    report = knowing(SAMPLES[name](), monkeypatch)
    assert left_in_english(text.plain(report, 80, every_number=True)) == []
    assert [found for part in texts_of(to_html(report)) for found in left_in_english(part)] == []
    assert left_in_english(re.sub(r"```.*?```", "", to_markdown(report), flags=re.DOTALL)) == []


@pytest.mark.usefixtures("speak")
def test_a_report_of_a_diagnosis_is_known_by_its_templates() -> None:
    report = reports.report("unscaled")
    page = text.plain(report, 80, every_number=True)
    assert left_in_english(page.replace(report.provenance.command, "")) == []


@pytest.mark.usefixtures("speak")
def test_names_codes_and_commands_stay_as_they_are() -> None:
    page = text.plain(samples.sick())
    for name in ("OPT001 learning-rate-too-high", "optimizer.lr", "3.0 → 0.1"):
        assert name in page


def test_the_forms_that_machines_read_stay_english() -> None:
    report = samples.sick()
    before = to_json(report), to_sarif(report), to_junit(report)
    with use("zh"):
        assert (to_json(report), to_sarif(report), to_junit(report)) == before


def test_english_is_left_alone() -> None:
    page = to_html(samples.sick())
    assert '<html lang="en">' in page and "⟦" not in page
    assert json.loads(re.findall(r'id="words">(.*?)</script>', page)[0]) == {}


def test_a_report_is_saved_in_the_language_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translating, "messages_of", lambda _: in_brackets())
    samples.sick().save(tmp_path / "a.txt", language="zh")
    samples.sick().save(tmp_path / "b.txt")
    assert "⟦What to change⟧" in (tmp_path / "a.txt").read_text(encoding="utf-8")
    assert "⟦" not in (tmp_path / "b.txt").read_text(encoding="utf-8")


@pytest.mark.usefixtures("speak")
def test_a_page_names_its_language() -> None:
    page = to_html(samples.sick())
    assert '<html lang="zh-CN">' in page
    words = json.loads(re.findall(r'id="words">(.*?)</script>', page)[0])
    assert words["Linear axis"] == "⟦Linear axis⟧"
    assert "⟦Report of unstuck⟧" in framed(samples.sick())


@pytest.mark.usefixtures("speak")
def test_foreign_markup_stays_escaped() -> None:
    hostile = dataclasses.replace(samples.sick(), notes=("<script>alert(1)</script> & <b title='x'>",))
    page = to_html(hostile)
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &lt;b" in page


@pytest.mark.parametrize("name", ["", *command.COMMANDS])
@pytest.mark.usefixtures("speak")
def test_help_is_translated(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main([*([name] if name else []), "--lang", "zh", "--help"])
    page = capsys.readouterr().out
    assert "⟦" in page
    assert left_in_english(page.replace("csv, parquet, tensorboard, wandb, mlflow", "")) == []


@pytest.mark.parametrize(
    "typed",
    [
        ["frob"], ["diagnose"], ["diagnose", "nosuch.py"], ["explain", "XXX"], ["diagnose", "a.py", "--budget", "-3"],
        ["replay", "nosuch"], ["read", "nosuch"], ["export", "a", "b", "--to", "zzz"], ["list", "nosuch"],
    ],
)  # fmt: skip
@pytest.mark.usefixtures("speak")
def test_refusals_are_translated(typed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        assert command.main([*typed, "--lang", "zh"]) != 0
    except SystemExit as end:
        assert end.code == 2
    message = capsys.readouterr().err.replace("No such file or directory", "")
    assert "⟦" in message and left_in_english(message) == []


@pytest.mark.usefixtures("speak")
def test_the_catalogue_of_rules_is_translated(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["rules", "--lang", "zh"]) == 0
    assert left_in_english(capsys.readouterr().out) == []
    assert command.main(["explain", "GEN001", "--lang", "zh"]) == 0
    explained, _, _ = capsys.readouterr().out.partition("⟦References⟧")
    assert left_in_english(explained) == []
