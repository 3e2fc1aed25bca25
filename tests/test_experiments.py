"""Experiments: which suspicions are tried, alone and together, and when they need not be."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import pytest
from torch import nn

from tests.tiny import comparison, line, prepared, rule, scores, split, standardised, suspicion, with_rate
from unstuck.errors import RemedyError
from unstuck.examine import Examination
from unstuck.experiments import Experiments, excuse
from unstuck.laboratory import Laboratory
from unstuck.loop import fit
from unstuck.measure.comparison import LARGER_MODEL, SAME_MODEL, Comparator, Comparison
from unstuck.measure.scores import Scores, scores_of
from unstuck.report import Finding, Outcome, Status, Verdict
from unstuck.rule import Aim, Rule
from unstuck.setup import Edit, Setup

SLOW = {"rate": 1e-6}


def opened(
    setup: Setup, deadline: float = float("inf"), short: int | None = None
) -> tuple[Experiments, Comparison, list[str]]:
    """Experiments on a set-up, with what it is compared with: the line itself, which leaves no loss."""
    lab = Laboratory(prepared(setup), None, deadline=deadline)
    run = fit(setup)
    given = scores_of(lab.prepared, None, setup, run.model)
    lab.keep(run, given, short)
    heard: list[str] = []
    known = replace(comparison(given.training.loss), given=given)
    return Experiments(Examination(setup), lab, heard.append), known, heard


def rebuilt(setup: Setup) -> Setup:
    """A change that changes nothing."""
    return replace(setup, optimizer=setup.optimizer.with_rate_times(1.0))


def longer(setup: Setup) -> Setup:
    return replace(setup, epochs=50)


def alone(experiments: Experiments, rules: Sequence[Rule], known: Comparison | None) -> dict[str, Finding]:
    return {rule.code: experiments.alone(rule, suspicion(rule.code), known) for rule in rules}


def nothing_more(setup: Setup) -> tuple[dict[str, Verdict], Examination]:
    """A change that brings nothing to light."""
    return {}, Examination(setup)


def test_a_remedy_that_cures_proves_its_cause() -> None:
    experiments, known, heard = opened(line(**SLOW))
    finding = experiments.alone(rule("OPT002", with_rate(1e5)), suspicion("OPT002"), known)
    assert finding.status is Status.CONFIRMED
    assert finding.trial is not None and finding.trial.gain.value > 0.7
    assert "Undo OPT002." in heard[0]
    assert experiments.explain({"OPT002": finding}, known)


def test_a_shortened_trial_proves_only_what_beats_the_whole_run_as_given() -> None:
    experiments, known, _ = opened(line(**SLOW), short=8)
    cured = experiments.alone(rule("OPT002", with_rate(3e5)), suspicion("OPT002"), known)
    assert cured.status is Status.CONFIRMED
    assert cured.trial is not None and "cut to 8 of 40 steps" in cured.trial.note
    experiments, known, _ = opened(line(rate=0.01), short=8)  # which goes lower by its end
    open_ = experiments.alone(rule("OPT002", with_rate(3.0)), suspicion("OPT002"), known)
    assert open_.outcome is Outcome.UNDECIDED and open_.trial is not None and open_.trial.gain.value > 0.1


def test_a_shortened_trial_refutes_only_what_does_harm() -> None:
    experiments, known, _ = opened(line(**SLOW), short=8)
    open_ = experiments.alone(rule("OPT002", rebuilt), suspicion("OPT002"), known)
    assert open_.outcome is Outcome.UNDECIDED and open_.trial is not None and open_.trial.gain.value < 0.1
    experiments, known, _ = opened(line(rate=0.1), short=8)
    harmful = experiments.alone(rule("OPT001", with_rate(1e-7)), suspicion("OPT001"), known)
    assert harmful.outcome is Outcome.ABSENT


def test_more_epochs_are_not_tried_in_shortened_runs() -> None:
    experiments, known, _ = opened(line(**SLOW), short=8)
    finding = experiments.alone(rule("OPT017", longer), suspicion("OPT017"), known)
    assert finding == suspicion("OPT017") and "shortened" in experiments.notes[0]


def test_a_remedy_that_changes_nothing_refutes_its_cause() -> None:
    experiments, known, _ = opened(line(**SLOW))
    finding = experiments.alone(rule("OPT002", rebuilt), suspicion("OPT002"), known)
    assert finding.outcome is Outcome.ABSENT
    assert finding.trial is not None and finding.trial.gain.value == pytest.approx(0.0, abs=1e-6)
    assert not experiments.explain({"OPT002": finding}, known)


def test_a_proven_cause_that_leaves_some_of_it_does_not_explain_everything() -> None:
    experiments, known, _ = opened(line(**SLOW))
    finding = experiments.alone(rule("OPT002", with_rate(4e3)), suspicion("OPT002"), known)
    assert finding.status is Status.CONFIRMED
    assert finding.trial is not None and finding.trial.gain.value < 0.6
    assert not experiments.explain({"OPT002": finding}, known)


def test_nothing_explains_a_shortfall_that_was_not_measured() -> None:
    experiments, known, _ = opened(line(**SLOW))
    finding = experiments.alone(rule("OPT002", with_rate(1e5)), suspicion("OPT002"), known)
    assert not experiments.explain({"OPT002": finding}, replace(known, comparators=()))


def test_a_remedy_that_is_advice_is_not_tried() -> None:
    experiments, known, _ = opened(line(**SLOW))
    assert experiments.alone(rule("OPT002", None), suspicion("OPT002"), known) == suspicion("OPT002")
    assert experiments.laboratory.trainings == 0


def refuse(setup: Setup) -> Setup:
    raise RemedyError("there is no such layer")


def stumble(setup: Setup) -> Setup:
    raise IndexError("list index out of range")


def test_a_remedy_that_does_not_apply_leaves_a_suspicion_and_says_why() -> None:
    experiments, known, _ = opened(line(**SLOW))
    found = alone(experiments, [rule("OPT002", refuse), rule("OPT006", stumble)], known)
    assert all(finding.status is Status.SUSPECTED for finding in found.values())
    assert "there is no such layer" in experiments.notes[0] and "OPT002" in experiments.notes[0]
    assert "IndexError" in experiments.notes[1]


def test_nothing_is_tried_once_the_time_is_up() -> None:
    experiments, known, _ = opened(line(**SLOW), deadline=time.monotonic() - 1.0)
    found = alone(experiments, [rule("OPT002", with_rate(1e5)), rule("OPT006", rebuilt)], known)
    assert found["OPT002"] == suspicion("OPT002")
    assert experiments.together([rule("OPT002", with_rate(1e5))], found, known, nothing_more) == {}


def test_where_nothing_goes_lower_a_training_cause_does_no_harm() -> None:
    finding = excuse(rule("OPT002", rebuilt), suspicion("OPT002"), comparison(0.01))
    assert finding is not None and finding.outcome is Outcome.ABSENT
    assert "no harm" in finding.verdict.sentence and "1%" in finding.verdict.sentence


def test_what_concerns_other_splits_or_is_its_own_proof_is_not_excused() -> None:
    harmless = comparison(0.01)
    assert excuse(rule("GEN001", rebuilt, Aim.HELD_OUT), suspicion("GEN001"), harmless) is None
    assert excuse(replace(rule("SET001", rebuilt), evidence_suffices=True), suspicion("SET001"), harmless) is None


def test_copies_of_the_same_model_alone_clear_nothing() -> None:
    assert excuse(rule("OPT002", rebuilt), suspicion("OPT002"), comparison(0.01, kind=SAME_MODEL)) is None
    assert excuse(rule("OPT002", rebuilt), suspicion("OPT002"), None) is None


def test_optimisation_is_not_to_blame_where_the_same_model_goes_no_lower() -> None:
    known = comparison(0.9, kind=LARGER_MODEL)
    copy = Comparator("the copy", SAME_MODEL, "loss", 0.88, 0.88, 0.02, 0.0, 0.04)
    known = replace(known, comparators=(*known.comparators, copy))
    finding = excuse(rule("OPT002", rebuilt), suspicion("OPT002"), known)
    assert finding is not None and "beside the point" in finding.verdict.sentence
    assert excuse(rule("CAP001", rebuilt), suspicion("CAP001"), known) is None
    assert excuse(rule("OPT002", rebuilt), suspicion("OPT002"), comparison(0.9, kind=SAME_MODEL)) is None


RATE, SCALE = rule("OPT002", with_rate(1e5)), rule("DAT001", standardised)
IDLE = rule("OPT006", rebuilt)


def test_two_causes_that_hurt_only_together_are_found_together() -> None:
    experiments, known, _ = opened(line(scale=1e-4, **SLOW))
    rules = [SCALE, RATE, IDLE]
    found = alone(experiments, rules, known)
    assert [finding.outcome for finding in found.values()] == [Outcome.ABSENT] * 3
    joint = experiments.together(rules, found, known, nothing_more)
    assert set(joint) == {"DAT001", "OPT002"}
    assert all(finding.status is Status.CONFIRMED for finding in joint.values())
    trials = [finding.trial for finding in joint.values()]
    assert [record.together_with for record in trials if record] == [("OPT002",), ("DAT001",)]
    assert dict(experiments.cures["DAT001"].path) == {"DAT001": 0, "OPT002": 0}
    cured = fit(experiments.cures["DAT001"].setup)
    assert cured.losses[-1] < 0.05 * cured.losses[0]
    assert experiments.explain({**found, **joint}, known)


def test_a_cause_that_shows_only_once_another_is_treated_is_found() -> None:
    experiments, known, _ = opened(line(scale=1e-4, **SLOW))
    found = alone(experiments, [SCALE], known)
    assert found["DAT001"].outcome is Outcome.ABSENT
    shown = {"OPT002": suspicion("OPT002").verdict}
    joint = experiments.together([SCALE, RATE], found, known, lambda setup: (shown, Examination(setup)))
    assert set(joint) == {"DAT001", "OPT002"}
    assert joint["OPT002"].verdict == shown["OPT002"]


def test_a_cause_that_another_hid_is_proven_alone_where_it_cures_alone() -> None:
    experiments, known, _ = opened(line(**SLOW))
    found = alone(experiments, [IDLE], known)
    shown = {"OPT002": suspicion("OPT002").verdict}
    joint = experiments.together([IDLE, RATE], found, known, lambda setup: (shown, Examination(setup)))
    assert set(joint) == {"OPT002"} and joint["OPT002"].status is Status.CONFIRMED
    assert joint["OPT002"].trial is not None and joint["OPT002"].trial.together_with == ()


def shrunk(setup: Setup) -> Setup:
    """Outputs divided by ten thousand: it no longer diverges, nor learns."""

    def apply(model: nn.Module) -> nn.Module:
        model.register_forward_hook(lambda module, inputs, output: output / 1e4)
        return model

    return setup.with_edit(Edit("outputs", "as given", "shrunk", apply))


def any_rate(setup: Setup) -> tuple[Setup, ...]:
    return with_rate(0.1)(setup), with_rate(3e6)(setup)


def test_a_cause_takes_the_place_of_what_it_explains_where_it_cures_as_well() -> None:
    def named(*rules: Rule) -> set[str]:
        """Of a line that diverges: standardised it still does, and the symptom's remedy stops it without a cure."""
        experiments, known, _ = opened(line(rate=1.5, scale=3.0, epochs=1))
        known = replace(comparison(1.0), given=known.given)  # what lies above the constant tells how far each goes
        found = alone(experiments, rules, known)
        assert all(finding.outcome is Outcome.ABSENT for finding in found.values())
        return set(experiments.together(rules, found, known, nothing_more))

    rate, symptom = rule("OPT001", any_rate), rule("OPT007", shrunk)
    assert named(SCALE, rate, symptom) == {"OPT001", "OPT007"}, "nothing says that one explains the other"
    assert named(SCALE, rate, replace(symptom, explained_by=("DAT001",))) == {"DAT001", "OPT001"}


def test_a_change_that_is_half_taken_back_is_no_joint_cure() -> None:
    experiments, known, _ = opened(line(rate=0.002, epochs=1))
    rules = [rule("OPT001", with_rate(0.1)), rule("OPT002", with_rate(1000.0))]
    found = alone(experiments, rules, known)
    assert [finding.outcome for finding in found.values()] == [Outcome.ABSENT] * 2
    assert experiments.together(rules, found, known, nothing_more) == {}


def test_nothing_is_joined_where_one_cause_is_proven() -> None:
    experiments, known, _ = opened(line(**SLOW))
    found = alone(experiments, [RATE, IDLE], known)
    assert found["OPT002"].status is Status.CONFIRMED
    assert experiments.together([RATE, IDLE], found, known, nothing_more) == {}


def test_by_standers_that_do_not_cure_together_stay_refuted() -> None:
    experiments, known, _ = opened(line(**SLOW))
    rules = [IDLE, rule("OPT011", rebuilt)]
    found = alone(experiments, rules, known)
    assert experiments.together(rules, found, known, nothing_more) == {}


@pytest.mark.parametrize("trainings", range(8))
def test_time_that_runs_out_in_the_middle_ends_it_quietly(trainings: int, monkeypatch: pytest.MonkeyPatch) -> None:
    experiments, known, _ = opened(line(scale=1e-4, **SLOW))
    found = alone(experiments, [SCALE, RATE], known)
    last = experiments.laboratory.trainings + trainings
    monkeypatch.setattr(Laboratory, "exhausted", property(lambda lab: lab.trainings >= last))
    joint = experiments.together([SCALE, RATE], found, known, nothing_more)
    assert set(joint) <= {"DAT001", "OPT002"}


def test_a_trial_by_error_knows_no_loss() -> None:
    known = comparison(1.0)
    other = Scores(split(0.0, 1.0), split(0.0, 1.0), None)
    assert known.shortfall_of(other, by_loss=True) == 0.0
    assert known.shortfall_of(scores(1.0), by_loss=True) == 1.0
