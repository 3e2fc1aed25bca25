"""`replay`: an earlier report, judged again from its measurements alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NoReturn

import pytest
from torch import nn

import unstuck
from tests.reports import BUDGET, MAKERS, report
from tests.tiny import line
from unstuck import rules
from unstuck.measure.history import History
from unstuck.render.machine import from_json, to_json
from unstuck.report import Outcome, Report, Verdict


def never(*arguments: Any, **options: Any) -> NoReturn:
    raise AssertionError("nothing is to be run")


def replayed(found: Report, monkeypatch: pytest.MonkeyPatch) -> Report:
    with monkeypatch.context() as patch:
        patch.setattr(nn.Module, "__call__", never)
        return unstuck.replay(found)


@pytest.mark.parametrize("from_disk", [False, True], ids=["", "from disk"])
@pytest.mark.parametrize("name", [*MAKERS, "stopped"])
def test_the_same_rules_find_the_same(name: str, from_disk: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    found = report(name)
    again = replayed(from_json(to_json(found)) if from_disk else found, monkeypatch)
    # By their text: they hold NaN.
    assert repr(again.findings) == repr(found.findings)
    assert repr(again.ruled_out) == repr(found.ruled_out)
    assert sorted(map(repr, again.unchecked)) == sorted(map(repr, found.unchecked))
    assert repr(again.questions) == repr(found.questions)
    assert (again.branch, again.sentence) == (found.branch, found.sentence)
    assert (again.notes, again.cost, again.provenance) == (found.notes, found.cost, found.provenance)


def test_a_suspicion_that_does_no_harm_stays_ruled_out(monkeypatch: pytest.MonkeyPatch) -> None:
    found = report("large but well")
    harmless = [each for each in found.ruled_out if each.verdict.outcome is Outcome.PRESENT and each.trial is None]
    assert harmless, "the patient is to raise a suspicion that is excused"
    assert replayed(found, monkeypatch).findings == ()


def test_a_report_on_an_error_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    found = unstuck.diagnose(line(loss=lambda outputs, targets: 1 / 0), budget=BUDGET)
    assert found.error
    again = replayed(found, monkeypatch)
    assert (again.error, again.sentence) == (found.error, found.sentence)


def test_newer_rules_judge_old_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    def judge(run: History) -> Verdict:
        return Verdict(Outcome.ABSENT, f"{len(run.record.losses)} steps are fine.")

    newer = tuple(replace(rule, judge=judge) if rule.code == "OPT002" else rule for rule in rules.load())
    monkeypatch.setattr(rules, "load", lambda: newer)
    again = unstuck.replay(from_json(to_json(report("slow"))))
    assert again.findings == ()
    assert "200 steps are fine." in [finding.verdict.sentence for finding in again.ruled_out]


def test_measurements_laid_out_otherwise_are_left_out() -> None:
    found = report("slow")
    old = replace(found, chart={**found.chart, "Course": {"something": "else"}})
    again = unstuck.replay(old)
    left = {missing.subject[:6] for missing in again.unchecked}
    assert {"OPT001", "OPT002"} <= left
    assert "OPT002" not in [finding.rule.code for finding in again.findings]
