"""What every rule owes: documentation, a pure and total judge, cases as declared, a fault it finds and heals."""

from __future__ import annotations

import copy
import enum
import inspect
import math
import random
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch

import unstuck
from unstuck import catalogue, patients
from unstuck.errors import RemedyError
from unstuck.examine import Examination, requests
from unstuck.measure.preparation import Allowance
from unstuck.measure.protocol import Unmeasured
from unstuck.quantity import Threshold
from unstuck.report import Applies, Outcome, Status, Verdict
from unstuck.rule import Aim, Case, Rule
from unstuck.rules import FAMILIES, load, rank
from unstuck.setup import Setup

RULES = load()
CASES = [(rule, number) for rule in RULES for number in range(len(rule.cases))]
FAULTS = [rule for rule in RULES if rule.fault is not None]
BUDGET = 40.0

every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
broadcasts_on_purpose = pytest.mark.filterwarnings("ignore:Using a target size")


def pieces(annotation: Any) -> Iterator[type]:
    """The measurements that an annotation asks for, `Unmeasured` and `Callable` taken off."""
    origin = typing.get_origin(annotation)
    if origin in (types.UnionType, typing.Union):
        yield from (part for part in typing.get_args(annotation) if part is not Unmeasured)
    elif origin is not None and inspect.isclass(origin) and issubclass(origin, Callable):  # type: ignore[arg-type]
        yield typing.get_args(annotation)[1]
    else:
        yield annotation


@every_rule
def test_documentation_has_title_and_headings(rule: Rule) -> None:
    assert catalogue.problems(catalogue.entry(rule.code)) == ()


def test_codes_and_names_are_unique_and_in_the_order_of_the_guide() -> None:
    codes, names = [rule.code for rule in RULES], [rule.name for rule in RULES]
    assert len(set(codes)) == len(codes) and len(set(names)) == len(names)
    assert codes == sorted(codes, key=rank)
    assert all(rule.code[:3] in FAMILIES for rule in RULES)
    assert [entry.code for entry in catalogue.entries()] == codes


def test_a_cure_all_lowers_the_training_loss_and_is_never_applied_unasked() -> None:
    cure_alls = [rule for rule in RULES if rule.is_cure_all]
    assert cure_alls
    assert all(rule.aim is Aim.TRAINING and rule.remedy.applies is not Applies.SAFE for rule in cure_alls)


@every_rule
def test_every_threshold_names_its_source(rule: Rule) -> None:
    limits = [value for value in vars(import_module(rule.module)).values() if isinstance(value, Threshold)]
    assert all(len(limit.source) > 15 for limit in limits)


@every_rule
def test_judge_asks_for_measurements_only(rule: Rule) -> None:
    wanted = requests(rule.judge)
    assert wanted, "a judge that asks for nothing sees nothing"
    for annotation in wanted.values():
        for kind in pieces(annotation):
            assert isinstance(getattr(kind, "cost", None), float) and callable(getattr(kind, "measure", None)), kind
    assert typing.get_type_hints(rule.judge)["return"] is Verdict


def test_no_rule_explains_itself() -> None:
    explained = {rule.code: set(rule.explained_by) for rule in RULES}

    def reach(code: str, seen: frozenset[str]) -> Iterator[str]:
        for cause in explained.get(code, ()):
            assert cause not in seen, f"{code} is explained in a circle"
            yield cause
            yield from reach(cause, seen | {cause})

    for code in explained:
        assert code not in set(reach(code, frozenset({code})))


@every_rule
def test_cases_begin_sick_and_hold_healthy_ones(rule: Rule) -> None:
    outcomes = [case.outcome for case in rule.cases]
    assert outcomes[0] is Outcome.PRESENT
    assert outcomes.count(Outcome.ABSENT) >= 2, "one healthy patient and one near miss at least"
    assert rule.remedy.says[0].isupper() and rule.remedy.says.endswith(".")


FILLINGS = {
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
    "zero": 0.0,
    "huge": 1e300,
    "negative": -1.0,
}


def filled(kind: Any, number: float, count: int) -> Any:
    """A record of any shape with `number` in every place, and `count` entries in every list."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return None if type(None) in parts and count == 0 else filled(parts[0], number, count)
    if origin is tuple:
        if len(parts) == 2 and parts[1] is Ellipsis:
            return tuple(filled(parts[0], number, count) for _ in range(count))
        return tuple(filled(part, number, count) for part in parts)
    if origin is not None and inspect.isclass(origin) and issubclass(origin, typing.Mapping):  # type: ignore[arg-type]
        return {}
    if kind is float:
        return number
    if kind is bool:
        return count > 0
    if kind is int:
        return count
    if kind is str:
        return "x" * count
    if inspect.isclass(kind) and issubclass(kind, enum.Enum):
        members = list(kind)
        return members[count % len(members)]
    assert is_dataclass(kind), f"{kind} is no plain record"
    hints = typing.get_type_hints(kind)
    return kind(**{field.name: filled(hints[field.name], number, count) for field in fields(kind) if field.init})


@every_rule
@pytest.mark.parametrize("number", FILLINGS.values(), ids=FILLINGS.keys())
@pytest.mark.parametrize("count", range(4))
def test_judge_is_total_and_pure(rule: Rule, number: float, count: int) -> None:
    chart = {name: filled(next(pieces(kind)), number, count) for name, kind in requests(rule.judge).items()}
    verdict = rule.judge(**chart)
    assert isinstance(verdict, Verdict) and verdict.sentence.endswith(".")
    assert repr(rule.judge(**chart)) == repr(verdict)
    assert all(isinstance(evidence.quantity.value, float) for evidence in verdict.evidence)


@every_rule
def test_judge_takes_missing_measurements_where_it_says_so(rule: Rule) -> None:
    wanted = requests(rule.judge)
    chart = {
        name: Unmeasured("not here") if Unmeasured in typing.get_args(kind) else filled(next(pieces(kind)), 0.5, 2)
        for name, kind in wanted.items()
    }
    assert isinstance(rule.judge(**chart), Verdict)


def verdict_on(rule: Rule, case: Case) -> Verdict:
    examination = Examination(case.setup())
    examination.put(Allowance(20.0))
    found = examination.arguments(rule.judge)
    assert not isinstance(found, Unmeasured), found
    verdict: Verdict = rule.judge(**found)
    return verdict


def outcome_of(setup: Setup, rule: Rule) -> tuple[Outcome, unstuck.Report]:
    report = unstuck.diagnose(setup, rules=[rule.code], budget=BUDGET)
    assert not report.error
    if any(finding.rule.code == rule.code for finding in report.findings):
        return Outcome.PRESENT, report
    if any(finding.rule.code == rule.code for finding in report.ruled_out):
        return Outcome.ABSENT, report
    return Outcome.UNDECIDED, report


@broadcasts_on_purpose
@pytest.mark.parametrize(("rule", "number"), CASES, ids=[f"{rule.code}-{number}" for rule, number in CASES])
def test_sign_of_case(rule: Rule, number: int) -> None:
    """The sign must not miss; it may accuse a near miss that the trial then clears."""
    case = rule.cases[number]
    verdict = verdict_on(rule, case)
    if case.outcome is Outcome.PRESENT:
        assert verdict.outcome is Outcome.PRESENT, verdict.sentence
    else:
        assert verdict.outcome in (case.outcome, Outcome.PRESENT), verdict.sentence


@pytest.mark.slow
@broadcasts_on_purpose
@pytest.mark.parametrize(("rule", "number"), CASES, ids=[f"{rule.code}-{number}" for rule, number in CASES])
def test_case_is_judged_as_declared(rule: Rule, number: int) -> None:
    case = rule.cases[number]
    if case.outcome is Outcome.ABSENT and verdict_on(rule, case).outcome is Outcome.ABSENT:
        return  # ruled out without a trial
    outcome, report = outcome_of(case.setup(), rule)
    assert outcome is case.outcome, str(report)


def plain_descent() -> Setup:
    """A patient for faults that an optimizer with steps of its own scale shrugs off."""
    return patients.shells(optimizer=patients.sgd(0.1, 0.9))


def batch_normed() -> Setup:
    """A patient for faults of batch-norm."""
    layers = torch.nn.Linear(4, 32), torch.nn.BatchNorm1d(32), torch.nn.ReLU(), torch.nn.Linear(32, 3)
    return patients.shells(lambda: torch.nn.Sequential(*copy.deepcopy(layers)))


@pytest.mark.slow
@broadcasts_on_purpose
@pytest.mark.parametrize("rule", FAULTS, ids=lambda rule: rule.code)
def test_fault_is_found_and_healed(rule: Rule) -> None:
    """Injected into the first of the healthy patients that takes it, the fault is found, and its remedy heals."""
    assert rule.fault is not None
    reasons = []
    for base in (patients.regression, patients.classification, plain_descent, batch_normed):
        try:
            sick = rule.fault(base())
        except RemedyError as reason:
            reasons.append(str(reason))
            continue
        outcome, report = outcome_of(sick, rule)
        assert outcome is Outcome.PRESENT, str(report)
        assert report.findings[0].status is Status.CONFIRMED
        trial = report.findings[0].trial
        assert rule.remedy.apply is None or rule.evidence_suffices or (trial is not None and trial.gain.value > 0.1)
        return
    pytest.fail(f"no patient takes the fault: {reasons}")


@pytest.mark.slow
def test_generators_stay_where_they_were() -> None:
    rule = RULES[0]
    before = (torch.random.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate())  # type: ignore[index]
    unstuck.diagnose(rule.cases[0].setup(), rules=[rule.code], budget=5.0)
    after = (torch.random.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate())  # type: ignore[index]
    assert torch.equal(before[0], after[0]) and before[1:] == after[1:]
