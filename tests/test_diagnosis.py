"""`diagnose`: what a report holds, and that whatever ends it keeps what was found."""

from __future__ import annotations

import datetime
import math
import os
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import unstuck
from tests.reports import BUDGET, MAKERS, interrupted, report, slow, well
from tests.tiny import line
from unstuck import Setup, catalogue, patients
from unstuck.errors import SetupError
from unstuck.judgement import causes_first, chosen_rules, left_open
from unstuck.progress import Progress
from unstuck.render.machine import from_json, to_json
from unstuck.report import Finding, Outcome, Report, RuleSummary, Status, Verdict
from unstuck.rules import load

CODES = {rule.code for rule in load()}


def mentioned(found: Report) -> list[str]:
    """The codes of all rules that a report says anything of."""
    codes = [finding.rule.code for finding in (*found.findings, *found.ruled_out)]
    return codes + [missing.subject[:6] for missing in found.unchecked if missing.subject[:6] in CODES]


def test_a_healthy_set_up_has_no_findings() -> None:
    found = report("well")
    assert found.findings == () and found.cause is None
    assert found.branch == "healthy"
    assert found.complete and found.error == "" and found.notes == ()
    assert found.sentence.startswith("Nothing wrong was found")
    assert found.cost.first_finding is None and found.cost.trainings == 0
    assert len(found.ruled_out) > 10


def test_a_failing_one_has_its_cause_proven() -> None:
    cause = report("slow").cause
    assert cause is not None and cause.rule.code == "OPT002"
    assert cause.status is Status.CONFIRMED and cause.trial is not None
    assert [change.field for change in cause.trial.changes] == ["optimizer.lr"]
    assert len(cause.trial.seeds) >= 3
    assert max(cause.trial.after) < 0.2 * min(cause.trial.before)
    assert report("slow").branch == "optimisation"
    assert [question.answer for question in report("slow").questions] == [Outcome.PRESENT, Outcome.PRESENT]


def test_causes_that_hurt_only_together_are_named_together() -> None:
    found = report("unscaled and slow")
    confirmed = [finding for finding in found.findings if finding.status is Status.CONFIRMED]
    assert {finding.rule.code for finding in confirmed} == {"DAT001", "OPT002"}
    for finding in confirmed:
        assert finding.trial is not None
        assert {finding.rule.code, *finding.trial.together_with} == {"DAT001", "OPT002"}
        assert {"optimizer.lr"} < {change.field for change in finding.trial.changes}


def test_what_the_first_batch_explains_is_found_without_training_copies() -> None:
    found = report("unscaled")
    assert found.cause is not None and found.cause.rule.code == "DAT001"
    assert "RobustCopy" not in found.chart
    assert [question.answer for question in found.questions] == [Outcome.PRESENT]
    left = {missing.subject[:6]: missing.reason for missing in found.unchecked}
    assert "examine again" in left["CAP001"]


@pytest.mark.parametrize("name", [*MAKERS, "stopped"])
def test_no_rule_is_passed_over_in_silence(name: str) -> None:
    assert sorted(mentioned(report(name))) == sorted(CODES)


@pytest.mark.parametrize("name", ["well", "slow"])
def test_provenance_and_cost_are_filled(name: str) -> None:
    found = report(name)
    assert found.provenance.versions["torch"] == torch.__version__
    assert {"python", "numpy", "scikit-learn"} <= set(found.provenance.versions)
    assert (found.provenance.device, found.provenance.seed) == ("cpu", 0)
    assert found.provenance.command == "unstuck.diagnose(setup)"
    made = datetime.datetime.fromisoformat(found.provenance.created)
    assert abs(datetime.datetime.now(datetime.timezone.utc) - made) < datetime.timedelta(hours=1)
    cost = found.cost
    assert cost.budget == BUDGET and 0.0 < cost.run_seconds < cost.seconds < BUDGET
    assert sum(cost.parts.values()) == pytest.approx(cost.seconds, rel=0.2)
    assert "training as given" in cost.parts
    assert "3" in found.setup["model"] and found.setup["optimizer"] == "Adam"
    assert found.curves[0].values and found.curves[1].values


def test_a_trial_keeps_the_curves_of_every_seed() -> None:
    trial = report("slow").findings[0].trial
    assert trial is not None and len(trial.seeds) >= 3
    given = [curve for curve in trial.curves if curve.label.startswith("as given")]
    cured = [curve for curve in trial.curves if curve.label.startswith("with the remedy")]
    assert len(given) == len(cured) == len(trial.seeds)
    assert given[1].label == f"as given, seed {trial.seeds[1]}"
    assert len({curve.values for curve in cured}) == len(cured)


def test_the_first_suspicion_and_the_trainings_are_counted() -> None:
    cost = report("slow").cost
    assert cost.first_finding is not None and 0.0 < cost.first_finding < cost.seconds
    assert cost.trainings >= 5


@pytest.mark.parametrize("name", [*MAKERS, "stopped"])
def test_a_report_survives_json(name: str) -> None:
    found = report(name)
    again = from_json(to_json(found))
    assert repr(replace(again, chart=found.chart)) == repr(found)  # by its text: it holds NaN
    assert to_json(again) == to_json(found)
    assert str(again) == str(found)


@pytest.mark.parametrize("budget", [1e-9, 1e-3])
def test_a_budget_too_small_is_no_error(budget: float) -> None:
    found = unstuck.diagnose(slow(), budget=budget)
    assert not found.complete and found.error == ""
    assert "time budget" in " ".join(found.notes)
    assert found.sentence.startswith("So far")
    assert sorted(mentioned(found)) == sorted(CODES)
    assert str(found)


@pytest.mark.parametrize("budget", [0.1, 0.4, 0.8, 1.2])
def test_a_budget_that_ends_anywhere_is_no_error(budget: float) -> None:
    found = unstuck.diagnose(slow(), budget=budget)
    assert found.error == ""
    if not any(finding.status is Status.CONFIRMED for finding in found.findings):
        assert "time budget" in " ".join(found.notes) and found.branch != "healthy"
    assert sorted(mentioned(found)) == sorted(CODES)
    for finding in found.findings:
        assert finding.status is Status.SUSPECTED or finding.rule.code == "OPT002"


def test_a_budget_in_runs_allows_at_least_five_seconds() -> None:
    found = unstuck.diagnose(slow(), budget="3x", rules=["OPT002"])
    assert found.cost.budget == pytest.approx(max(5.0, 3 * found.cost.run_seconds))
    assert [finding.rule.code for finding in found.findings] == ["OPT002"]


@pytest.mark.parametrize("budget", [0, -1.0, math.nan, "3", "x", "0x", "-1x", "infx", "nanx", "", True, None, [60]])
def test_a_budget_that_is_none_is_refused(budget: Any) -> None:
    with pytest.raises(ValueError, match="budget"):
        unstuck.diagnose(well(), budget=budget)


@pytest.mark.parametrize("names", [["OPT002"], ["learning-rate-too-low"]])
def test_only_the_rules_that_are_asked_for_are_judged(names: list[str]) -> None:
    found = unstuck.diagnose(line(), rules=names, budget=BUDGET)
    assert mentioned(found) == ["OPT002"]


def test_no_rules_at_all_still_walk_the_guide() -> None:
    found = unstuck.diagnose(line(), rules=[], budget=BUDGET)
    assert mentioned(found) == [] and found.questions


def test_a_gap_is_not_called_natural_where_no_remedy_was_asked_for() -> None:
    by_heart = patients.shells(wrong=0.35, rows=80, epochs=80)
    found = unstuck.diagnose(by_heart, rules=["OPT002"], budget=BUDGET)
    assert "natural for" not in found.sentence and "Nothing wrong" not in found.sentence
    assert found.branch == "undecided"


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(LookupError, match="OPT999"):
        unstuck.diagnose(well(), rules=["OPT999"])


def test_what_is_no_set_up_is_refused() -> None:
    with pytest.raises(SetupError, match="Setup"):
        unstuck.diagnose(nn.Linear(1, 1))  # type: ignore[arg-type]


def gains(found: Report) -> list[float]:
    return [finding.trial.gain.value for finding in found.findings if finding.trial]


def test_progress_tells_what_is_done_and_what_is_suspected() -> None:
    heard: list[Progress] = []
    again = unstuck.diagnose(slow(), budget=BUDGET, progress=heard.append)
    assert gains(again) == gains(report("slow")) != []  # the same again is the same report
    elapsed = [event.elapsed for event in heard]
    assert elapsed == sorted(elapsed)
    assert all(0.0 <= event.left <= BUDGET for event in heard)
    told = [event.doing for event in heard]
    suspected = next(number for number, event in enumerate(heard) if event.suspicion)
    assert heard[suspected].suspicion == catalogue.entry("OPT002").summary()
    assert told.index("training as given") < suspected < next(n for n, what in enumerate(told) if "Raise the" in what)
    assert any("seeds 1, 2" in what for what in told)


def test_ctrl_c_in_a_trial_keeps_what_was_found() -> None:
    found = report("stopped")
    assert not found.complete and found.error == ""
    assert any("Ctrl-C" in note for note in found.notes)
    assert [finding.rule.code for finding in found.findings] == ["OPT002"]
    assert found.findings[0].status is Status.SUSPECTED
    assert found.questions and found.curves and found.sentence.startswith("So far")


@pytest.mark.parametrize("at", ["probing", "judging the first batch", "training as given", "measuring"])
def test_ctrl_c_at_any_time_gives_a_report(at: str) -> None:
    found = interrupted(line(), at)
    assert not found.complete and found.error == ""
    assert sorted(mentioned(found)) == sorted(CODES)
    assert str(found) and to_json(found)


def test_a_listener_that_fails_is_not_hidden() -> None:
    def listener(progress: Progress) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        unstuck.diagnose(line(), progress=listener)


class Failing(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        raise RuntimeError("the shapes are not what I thought")


def test_an_error_of_the_users_is_the_sentence() -> None:
    found = unstuck.diagnose(line(model=lambda: nn.Sequential(nn.Linear(1, 1), Failing())), budget=BUDGET)
    assert not found.complete
    assert "the shapes are not what I thought" in found.error and found.sentence == found.error
    assert sorted(mentioned(found)) == sorted(CODES)


def test_an_error_on_the_test_split_keeps_what_the_first_batch_shows() -> None:
    sick = patients.classification(
        lambda: patients.perceptron(4, 24, 3, last=nn.Softmax(dim=1)), test=(torch.zeros(8, 9), torch.zeros(8).long())
    )
    found = unstuck.diagnose(sick, budget=BUDGET)
    assert "test" in found.error
    assert "SET002" in [finding.rule.code for finding in found.findings]


class Restless(nn.Module):
    """Draws from a generator that nobody seeds."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(1, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.body(inputs)
        return outputs * (1.0 + os.urandom(1)[0] / 2560.0)


def test_a_set_up_that_does_not_repeat_itself_is_noted() -> None:
    found = unstuck.diagnose(line(model=Restless), rules=[], budget=BUDGET)
    assert any("does not repeat itself" in note for note in found.notes)


def test_a_measurement_that_decides_nothing_is_left_open() -> None:
    undecided = Verdict(Outcome.UNDECIDED, "No update was seen.")
    finding = Finding(RuleSummary("OPT001", "too-high", ""), Outcome.UNDECIDED, Status.SUSPECTED, undecided)
    assert [(missing.subject, missing.reason) for missing in left_open([finding])] == [
        ("OPT001 too-high", "it could not be decided: No update was seen.")
    ]
    assert left_open([replace(finding, outcome=Outcome.ABSENT)]) == []


def test_consequences_are_tried_after_their_causes() -> None:
    ordered = [rule.code for rule in causes_first(chosen_rules(None))]
    assert sorted(ordered) == sorted(CODES)
    assert ordered.index("OPT006") < ordered.index("OPT002")
    in_a_ring = [replace(rule, explained_by=("OPT001", "OPT002")) for rule in chosen_rules(["OPT001", "OPT002"])]
    assert [rule.code for rule in causes_first(in_a_ring)] == ["OPT001", "OPT002"]


@pytest.mark.slow
def test_a_slow_set_up_within_a_small_budget_is_compared_at_equal_steps() -> None:
    found = unstuck.diagnose(big(), budget=20.0, rules=["OPT002"])
    assert any("cut short" in note for note in found.notes)
    assert found.cost.seconds < 30.0


def big() -> Setup:
    return patients.shells(optimizer=patients.adam(3e-7), epochs=2000)
