"""From verdicts and trials to ranked findings. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import Final

from unstuck import catalogue
from unstuck.report import Applies, Finding, Outcome, RuleSummary, Status, Trial, Verdict
from unstuck.rule import Rule
from unstuck.rules import rank

AS_GOOD: Final = 0.1
"""Gains that differ by less than this share of the span are taken for equal; then the guide's order decides."""


@cache
def summary_of(code: str) -> RuleSummary:
    """What a report keeps of a rule, from its file."""
    return catalogue.entry(code).summary()


def finding_of(rule: Rule, verdict: Verdict, trial: Trial | None) -> Finding:
    """Join what a rule saw with what its trial showed.

    Args:
        rule: The rule.
        verdict: What the chart showed.
        trial: The trial, where one was run.

    Returns:
        Confirmed where the trial cured, absent where it refuted, else suspected.
    """
    outcome, status = verdict.outcome, Status.SUSPECTED
    if trial is not None and outcome is Outcome.PRESENT:
        if trial.outcome is Outcome.PRESENT:
            status = Status.CONFIRMED
        elif not (rule.evidence_suffices or verdict.certain):
            outcome = trial.outcome
    if outcome is Outcome.PRESENT and (rule.evidence_suffices or verdict.certain):
        status = Status.CONFIRMED
    return Finding(
        rule=summary_of(rule.code),
        outcome=outcome,
        status=status,
        verdict=verdict,
        remedy=rule.remedy.says,
        applies=Applies.ADVICE if rule.remedy.apply is None else rule.remedy.applies,
        trial=trial,
    )


def ranked(findings: Sequence[Finding], rules: Iterable[Rule]) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Order findings by how well they explain the failure, and set aside those that are not there.

    Confirmed ones come first. Among them a finding that another confirmed one explains comes after it; those
    whose remedy gains as much as the best come in the order of the guide, the others by their gain. Suspicions that
    another suspicion may explain come last.

    Args:
        findings: One per rule that could be judged.
        rules: Give what explains what.

    Returns:
        The causes, ranked, and what was ruled out. An undecided trial leaves a suspicion.
    """
    explained_by = {rule.code: rule.explained_by for rule in rules}
    present = [f for f in findings if stands(f)]
    confirmed = [f for f in present if f.status is Status.CONFIRMED]
    codes = {finding.rule.code for finding in confirmed}
    suspected = {finding.rule.code for finding in present} - codes
    # What is proven by its evidence alone has no gain: it ranks as the best does, and the guide's order decides.
    best = max((_gain(finding) for finding in confirmed if not is_by_evidence(finding)), default=1.0)

    def cause_of(finding: Finding) -> str:
        return next((code for code in explained_by.get(finding.rule.code, ()) if code in codes), "")

    def order(finding: Finding) -> tuple[bool, bool, bool, bool, float, tuple[int, str]]:
        gain = best if is_by_evidence(finding) else _gain(finding)
        short = best - gain > AS_GOOD
        return (
            finding.status is not Status.CONFIRMED,
            finding.rule.code in suspected and bool(suspected & set(explained_by.get(finding.rule.code, ()))),
            bool(cause_of(finding)) and not short_of(finding, confirmed, cause_of(finding)),
            short,
            -gain if short else 0.0,
            rank(finding.rule.code),
        )

    causes = sorted(present, key=order)
    root = causes[0].rule.code if causes and causes[0].status is Status.CONFIRMED else ""
    related = [
        replace(
            finding,
            explained_by=cause_of(finding),
            alternative_to=root
            if finding.rule.code != root
            and finding.status is Status.CONFIRMED
            and not is_by_evidence(finding)
            and _gain(finding) > best - AS_GOOD
            else "",
        )
        for finding in causes
    ]
    ruled_out = [f for f in findings if f not in present and f.outcome is Outcome.ABSENT]
    return tuple(related), tuple(sorted(ruled_out, key=lambda finding: rank(finding.rule.code)))


def short_of(finding: Finding, confirmed: Sequence[Finding], cause: str) -> bool:
    """Whether the cause that is said to explain a finding gains clearly less than the finding's own remedy."""
    # What is proven by its evidence alone has cured nothing: where its cause has, it is a symptom.
    if is_by_evidence(finding) and any(other.rule.code == cause and not is_by_evidence(other) for other in confirmed):
        return False
    explained = max((_gain(other) for other in confirmed if other.rule.code == cause), default=0.0)
    return _gain(finding) - explained > AS_GOOD


def is_by_evidence(finding: Finding) -> bool:
    """Whether a finding is proven by what was measured, and not by a cure."""
    cured = finding.trial is not None and finding.trial.outcome is Outcome.PRESENT
    return finding.status is Status.CONFIRMED and not cured


def _gain(finding: Finding) -> float:
    """What the remedy gained; a cause that is proven by evidence alone explains everything."""
    if is_by_evidence(finding):
        return 1.0
    if finding.trial is None or finding.trial.outcome is not Outcome.PRESENT:
        return 0.0
    return finding.trial.gain.value


def stands(finding: Finding) -> bool:
    """Whether what was seen is a cause or a suspicion still: proven, not tried, or tried without a clear outcome."""
    left_open = finding.outcome is Outcome.UNDECIDED and finding.verdict.outcome is Outcome.PRESENT
    return finding.outcome is Outcome.PRESENT or left_open
