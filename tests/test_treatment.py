"""`treat`: treat, examine again, until it is well; the cure is a set-up like any other."""

from __future__ import annotations

import math
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import unstuck
from tests.reports import BUDGET, mixed_units, report, slow, unscaled, unscaled_and_slow, well
from tests.test_laboratory import Slow
from tests.tiny import line
from unstuck import patients, treatment
from unstuck.errors import SetupError
from unstuck.progress import Progress
from unstuck.render import ENDINGS
from unstuck.render.cure import plain_cure
from unstuck.setup import Setup
from unstuck.treatment import Cure


def loss_on_raw_inputs(setup: Setup) -> float:
    """What the trained model makes of inputs in the units that the user has them in."""
    model = unstuck.fit(setup).model
    draws = torch.Generator().manual_seed(12)
    values = torch.randn(800, 3, generator=draws)
    wanted = values[:, :1].abs() - values[:, 1:2] * values[:, 2:]
    wanted = (wanted - wanted.mean()) / wanted.std()
    with torch.no_grad():
        return float((model(mixed_units(values)) - wanted).square().mean())


def treated(cure: Cure, name: str) -> None:
    assert cure.sentence.startswith(f"Treated {name}. Examined again: Nothing wrong was found")
    assert cure.steps[-1].branch == "healthy" and cure.steps[-1].findings == ()
    assert len(cure.steps) == 2
    assert cure.after[-1] < 0.5 * cure.before[-1]


@pytest.mark.parametrize("held_out", [True, False], ids=["", "no held-out part given"])
def test_a_cure_trains_and_takes_raw_inputs(held_out: bool) -> None:
    given = unscaled() if held_out else replace(unscaled(), validation=None)
    cure = unstuck.treat(given, budget=BUDGET)
    treated(cure, "inputs-not-normalised")
    assert cure.setup is not given
    assert cure.setup.train.size == given.train.size == patients.TRAINING
    assert (cure.setup.validation is None) is not held_out
    assert loss_on_raw_inputs(cure.setup) < 0.1
    assert loss_on_raw_inputs(given) > 0.3
    assert cure.before == (unstuck.fit(given).validation_losses or unstuck.fit(given).record.epoch_losses())
    assert plain_cure(cure)


@pytest.mark.slow
def test_causes_that_hurt_together_are_treated_together() -> None:
    given = unscaled_and_slow()
    cure = unstuck.treat(given, budget=BUDGET)
    treated(cure, "inputs-not-normalised together with learning-rate-too-low")
    assert loss_on_raw_inputs(cure.setup) < 0.2


def frozen_body() -> nn.Module:
    return nn.Sequential(patients.perceptron(4, 16, 16).requires_grad_(False), nn.ReLU(), nn.Linear(16, 3))


def test_no_remedy_is_applied_that_did_harm_however_certain_its_cause() -> None:
    found = report("slow")
    proven = found.findings[0]
    assert proven.trial is not None
    harmful = replace(proven, trial=replace(proven.trial, gain=replace(proven.trial.gain, value=-0.3)))
    assert treatment._root_cause(replace(found, findings=(harmful,))) is None
    assert treatment._root_cause(replace(found, findings=(harmful, proven))) is proven


def test_a_cure_can_be_printed_saved_and_shown_in_a_notebook(tmp_path: Path) -> None:
    cure = unstuck.treat(unscaled(), budget=BUDGET)
    assert str(cure) == plain_cure(cure)
    assert "<iframe" in cure._repr_html_() and "inputs-not-normalised" in cure._repr_html_()
    for ending in ENDINGS:
        cure.save(tmp_path / f"cure{ending}", language="en")
        assert re.search("DAT001|inputs-not-normalised", (tmp_path / f"cure{ending}").read_text("utf-8"))
    with pytest.raises(ValueError, match=r"must end in \.html"):
        cure.save(tmp_path / "cure.pdf")


def test_what_is_well_stays_as_it_is() -> None:
    given = well()
    cure = unstuck.treat(given, budget=BUDGET)
    assert cure.setup is given
    assert cure.before == cure.after != ()
    assert len(cure.steps) == 1
    assert cure.sentence.startswith("Nothing was changed. Nothing wrong was found")


def test_remedies_that_change_what_is_computed_can_be_declined() -> None:
    given = patients.shells(frozen_body)
    cure = unstuck.treat(given, budget=BUDGET, opt_in=False)
    assert cure.setup is given
    assert cure.steps[0].cause is not None and cure.steps[0].cause.rule.code == "SET009"


@pytest.mark.slow
def test_one_cause_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def two() -> Setup:
        rigid = patients.perceptron(4, 32, 32, 3, last=nn.Softmax(dim=1))
        return patients.shells(lambda: rigid, optimizer=patients.adam(1e-4))

    cure = unstuck.treat(two(), budget=BUDGET)
    assert "Treated" in cure.sentence and ", then " in cure.sentence
    assert len(cure.steps) == 3
    assert cure.steps[-1].findings == ()
    monkeypatch.setattr(treatment, "MOST_STEPS", 1)
    cut = unstuck.treat(two(), budget=BUDGET)
    assert len(cut.steps) == 2  # what was treated last is examined again
    assert "Examined again" in cut.sentence and ", then " not in cut.sentence


def test_no_time_for_another_examination_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(treatment, "LEAST_SECONDS", math.inf)
    cure = unstuck.treat(unscaled(), budget=BUDGET)
    assert len(cure.steps) == 1
    assert cure.sentence.startswith("Treated inputs-not-normalised. It was not examined again")
    assert cure.after[-1] < 0.5 * cure.before[-1]


def test_the_last_cause_that_may_be_treated_is_examined_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(treatment, "MOST_STEPS", 1)
    treated(unstuck.treat(unscaled(), budget=BUDGET), "inputs-not-normalised")


def test_ctrl_c_ends_the_treatment_and_keeps_the_report() -> None:
    started = []

    def listener(progress: Progress) -> None:
        started.append(progress.doing)
        if "Raise the learning rate" in progress.doing:
            raise KeyboardInterrupt

    given = slow()
    cure = unstuck.treat(given, budget=BUDGET, progress=listener)
    assert started.count("probing") == 1
    assert cure.setup is given and cure.before == cure.after == ()
    assert [finding.rule.code for finding in cure.steps[0].findings] == ["OPT002"]
    assert plain_cure(cure)


def test_ctrl_c_in_the_second_round_keeps_the_first_cure() -> None:
    rounds = []

    def listener(progress: Progress) -> None:
        if progress.doing == "probing":
            rounds.append(1)
        if len(rounds) == 2:
            raise KeyboardInterrupt

    cure = unstuck.treat(unscaled(), budget=BUDGET, progress=listener)
    assert len(cure.steps) == 2
    run = unstuck.fit(cure.setup)
    assert run.losses[-1] < 0.5 * run.losses[0]


def test_what_cannot_be_trained_gives_the_report_that_says_so() -> None:
    given = line(loss=lambda outputs, targets: 1 / 0)
    cure = unstuck.treat(given, budget=BUDGET)
    assert cure.setup is given and cure.before == cure.after == ()
    assert "ZeroDivisionError" in cure.steps[0].error
    assert plain_cure(cure)


def test_its_curves_keep_to_the_budget_too() -> None:
    start = time.monotonic()
    cure = unstuck.treat(line(model=lambda: Slow(0.05), epochs=100), budget=2.0)
    assert time.monotonic() - start < 8.0  # in full one run takes forty seconds
    assert cure.before


@pytest.mark.parametrize("budget", [0, -1.0, "x", None])
def test_a_budget_that_is_none_is_refused(budget: object) -> None:
    with pytest.raises(ValueError, match="budget"):
        unstuck.treat(well(), budget=budget)  # type: ignore[arg-type]


def test_what_is_no_set_up_is_refused() -> None:
    with pytest.raises(SetupError, match="Setup"):
        unstuck.treat(nn.Linear(1, 1))  # type: ignore[arg-type]
