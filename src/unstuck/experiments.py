"""Which suspicions are tried, alone and together, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import final

from unstuck.errors import RemedyError
from unstuck.examine import Examination
from unstuck.joint import try_together
from unstuck.laboratory import Laboratory
from unstuck.measure.comparison import LARGE, MOST_OF_IT, SAME_MODEL, Comparison
from unstuck.ranking import finding_of, is_by_evidence
from unstuck.report import Branch, Finding, Outcome, Status, Verdict
from unstuck.rule import Aim, Rule
from unstuck.setup import Setup
from unstuck.trials import Tried, apply_remedy, only_lengthens, shortfall_left, trial


@final
class Experiments:
    """The trials of one examination.

    Attributes:
        laboratory: Trains.
        cures: Trials by the code of their rule.
        notes: Why a remedy was not tried.
    """

    def __init__(self, examination: Examination, laboratory: Laboratory, announce: Callable[[str], None]) -> None:
        """Start with no trials.

        Args:
            examination: Holds the measurements that remedies ask for.
            laboratory: Trains, and holds the control.
            announce: Told what is being tried.
        """
        self.laboratory = laboratory
        self.cures: dict[str, Tried] = {}
        self.notes: list[str] = []
        self._examination, self._announce = examination, announce

    def alone(self, rule: Rule, finding: Finding, comparison: Comparison | None) -> Finding:
        """Try the remedy of one suspected rule.

        Args:
            rule: The rule.
            finding: Its suspicion.
            comparison: Where the run as given stands, where that could be measured.

        Returns:
            The finding: proven, refuted or left open; absent without a trial where nothing that the run was
            compared with goes lower, so that there is nothing to gain.
        """
        excused = excuse(rule, finding, comparison)
        if excused is not None:
            return excused
        if rule.remedy.apply is None or self.laboratory.exhausted:
            return finding
        try:
            candidates = apply_remedy(rule, self._examination, self.laboratory.prepared.setup)
        except RemedyError as reason:
            self.notes.append(f"{rule.code}: the remedy was not tried: {reason}")
            return finding
        given = self.laboratory.prepared.setup
        if self.laboratory.steps is not None and only_lengthens(candidates, given):
            self.notes.append(f"{rule.code}: more epochs were not tried: the time allowed only shortened runs")
            return finding
        tried = trial(self.laboratory, comparison, rule, candidates, self._announce)
        self.cures[rule.code] = tried
        return finding_of(rule, finding.verdict, tried.trial)

    def together(
        self,
        rules: Iterable[Rule],
        findings: Mapping[str, Finding],
        comparison: Comparison | None,
        judge_again: Callable[[Setup], tuple[Mapping[str, Verdict], Examination]],
    ) -> dict[str, Finding]:
        """Where no remedy cured alone, or but that of a symptom and not enough, see whether several do together.

        Args:
            rules: Causes before what they explain.
            findings: By code; those that were suspected and tried count.
            comparison: Where the run as given stands.
            judge_again: Gives verdicts on a changed set-up, by code, as far as its run shows them, and its
                measurements.

        Returns:
            The findings that are proven so, by code.
        """
        rules = tuple(rules)
        suspects = [
            rule
            for rule in rules
            if rule.code in self.cures
            and rule.aim is Aim.TRAINING
            and findings[rule.code].verdict.outcome is Outcome.PRESENT
        ]
        symptoms = {rule.code for rule in rules if {suspect.code for suspect in suspects} & set(rule.explained_by)}
        proven = any(
            finding.status is Status.CONFIRMED
            and not (
                code in symptoms
                and (is_by_evidence(finding) or shortfall_left(self.cures[code], comparison) >= LARGE.value)
            )
            for code, finding in findings.items()
        )
        little = comparison is not None and comparison.can_clear and comparison.shortfall < MOST_OF_IT.value
        if proven or little or not suspects or self.laboratory.exhausted:
            return {}
        verdicts = {rule.code: findings[rule.code].verdict for rule in suspects}

        def suspected(setup: Setup) -> tuple[list[Rule], Examination]:
            """What shows on a changed set-up; what only further measurements would show is suspected as before."""
            if comparison is None or not comparison.training_is_large:
                return suspects, self._examination
            again, measured = judge_again(setup)
            found = [
                rule
                for rule in rules
                if rule.aim is Aim.TRAINING
                and rule.remedy.apply is not None
                and (again[rule.code].outcome is Outcome.PRESENT if rule.code in again else rule in suspects)
            ]
            verdicts.update((rule.code, again[rule.code]) for rule in found if rule.code not in verdicts)
            return found, measured

        cures = try_together(
            self.laboratory, self._examination, comparison, suspects, self.cures, suspected, self._announce
        )
        self.cures.update(cures)
        return {
            rule.code: finding_of(rule, verdicts[rule.code], cures[rule.code].trial)
            for rule in rules
            if rule.code in cures
        }

    def explain(self, findings: Mapping[str, Finding], comparison: Comparison) -> bool:
        """Whether a proven cause, once cured, leaves nothing that falls short."""
        return any(
            findings[code].status is Status.CONFIRMED and shortfall_left(tried, comparison) < LARGE.value
            for code, tried in self.cures.items()
        )


def excuse(rule: Rule, finding: Finding, comparison: Comparison | None) -> Finding | None:
    """Clear a suspicion without a trial, where the comparison leaves nothing to gain. Pure.

    Args:
        rule: The rule.
        finding: Its suspicion.
        comparison: Where the run as given stands, where that could be measured.

    Returns:
        The finding as absent, with the reason; None where it has to be tried.
    """
    if comparison is None:
        return None
    if _is_harmless(rule, comparison):
        reason = _no_harm(comparison)
    elif _is_beside_the_point(rule, comparison):
        reason = _no_better(comparison)
    else:
        return None
    verdict = replace(finding.verdict, sentence=f"{finding.verdict.sentence} {reason}")
    return replace(finding, outcome=Outcome.ABSENT, verdict=verdict)


def _is_harmless(rule: Rule, comparison: Comparison) -> bool:
    """Whether nothing goes lower, as far as learners of other kinds can tell."""
    concerned = rule.aim is Aim.TRAINING and not rule.evidence_suffices
    return concerned and comparison.can_clear and not comparison.training_may_be_large


def _is_beside_the_point(rule: Rule, comparison: Comparison) -> bool:
    """Whether the rule blames optimisation although the same model, optimised robustly, goes no lower."""
    copy = comparison.best(SAME_MODEL)
    return (
        rule.branch is Branch.OPTIMISATION
        and copy is not None
        and comparison.training_is_large
        and copy.shortfall < LARGE.value
        and copy.high < MOST_OF_IT.value * comparison.shortfall
    )


def _no_better(comparison: Comparison) -> str:
    copy = comparison.best(SAME_MODEL)
    assert copy is not None  # asked only where there is one
    return (
        "It is beside the point: the same model, trained robustly, goes no lower "
        f"({max(0.0, copy.shortfall):.0%} of the span)."
    )


def _no_harm(comparison: Comparison) -> str:
    best = comparison.best()
    if comparison.settled:
        return f"It does no harm: {comparison.settled}."
    if best is None:
        return "It does no harm: nothing that was compared goes lower on the training data and on held-out data."
    return (
        f"It does no harm: the largest shortfall, against {best.name}, is {max(0.0, best.shortfall):.0%} of the span."
    )
