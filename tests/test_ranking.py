"""Ranking: proven causes first, those that explain others before them, the guide's order among equals."""

import dataclasses

from unstuck.quantity import Quantity
from unstuck.ranking import ranked
from unstuck.report import Applies, Finding, Outcome, RuleSummary, Status, Trial, Verdict
from unstuck.rule import Remedy, Rule


def rule(code: str, *explained_by: str) -> Rule:
    remedy = Remedy("Do it.", None, Applies.ADVICE)
    return Rule(code, lambda: None, None, remedy, (), explained_by=explained_by, module=f"rules.{code}")


def finding(code: str, gain: float | None, outcome: Outcome = Outcome.PRESENT) -> Finding:
    trial = None
    if gain is not None:
        trial = Trial("Do it.", (), Outcome.PRESENT, "training loss", (0,), (2.0,), (1.0,), Quantity("gain", gain))
    return Finding(
        RuleSummary(code, code, code),
        outcome,
        Status.SUSPECTED if gain is None else Status.CONFIRMED,
        Verdict(outcome, "seen"),
        trial=trial,
    )


def codes(findings: list[Finding], *rules: Rule) -> list[str]:
    return [found.rule.code for found in ranked(findings, rules or [rule(f.rule.code) for f in findings])[0]]


def test_proven_causes_come_before_suspected_ones() -> None:
    assert codes([finding("SET001", None), finding("OPT001", 0.5)]) == ["OPT001", "SET001"]


def test_the_larger_gain_comes_first() -> None:
    assert codes([finding("SET001", 0.3), finding("OPT001", 0.9)]) == ["OPT001", "SET001"]


def test_the_guides_order_decides_among_equals() -> None:
    assert codes([finding("OPT001", 0.95), finding("SET001", 0.9)]) == ["SET001", "OPT001"]


def test_what_another_proven_cause_explains_comes_after_it() -> None:
    found = [finding("OPT001", 0.9), finding("OPT006", 0.9)]
    assert codes(found, rule("OPT001", "OPT006"), rule("OPT006")) == ["OPT006", "OPT001"]


def test_an_explanation_that_gains_far_less_does_not_go_first() -> None:
    found = [finding("OPT001", 0.9), finding("OPT006", 0.3)]
    assert codes(found, rule("OPT001", "OPT006"), rule("OPT006")) == ["OPT001", "OPT006"]


def test_what_is_proven_by_evidence_alone_is_a_symptom_of_the_cause_that_has_cured() -> None:
    seen = dataclasses.replace(finding("SET018", None), status=Status.CONFIRMED)
    rules = rule("SET018", "OPT006"), rule("OPT006")
    assert codes([seen, finding("OPT006", 0.3)], *rules) == ["OPT006", "SET018"]
    assert codes([seen, finding("OPT006", None)], *rules) == ["SET018", "OPT006"]


def test_what_is_proven_by_evidence_alone_takes_its_place_in_the_guide() -> None:
    first, last = (dataclasses.replace(finding(code, None), status=Status.CONFIRMED) for code in ("DAT003", "GEN004"))
    assert codes([last, finding("OPT001", 0.6), first]) == ["DAT003", "OPT001", "GEN004"]


def test_an_equally_good_cure_is_named_as_an_alternative() -> None:
    causes, _ = ranked([finding("OPT001", 0.9), finding("OPT017", 0.9)], [rule("OPT001"), rule("OPT017")])
    assert causes[1].alternative_to == "OPT001"


def test_what_is_absent_is_ruled_out() -> None:
    causes, ruled_out = ranked([finding("OPT001", None, Outcome.ABSENT)], [rule("OPT001")])
    assert not causes
    assert [found.rule.code for found in ruled_out] == ["OPT001"]


def test_an_undecided_trial_leaves_a_suspicion() -> None:
    undecided = dataclasses.replace(finding("OPT001", 0.1), outcome=Outcome.UNDECIDED, status=Status.SUSPECTED)
    undecided = dataclasses.replace(undecided, verdict=Verdict(Outcome.PRESENT, "seen"))
    causes, ruled_out = ranked([undecided], [rule("OPT001")])
    assert [found.rule.code for found in causes] == ["OPT001"]
    assert not ruled_out
