"""Which suspicions are but consequences of a proven cause, so that their remedies are not tried."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from unstuck.examine import Examination
from unstuck.judgement import Phase, by_phase, judged
from unstuck.measure.comparison import MOST_OF_IT, Comparison
from unstuck.mechanism import is_gone
from unstuck.report import Finding, Status, Verdict
from unstuck.rule import Aim, Rule
from unstuck.trials import Tried


def is_mere_consequence(rule: Rule, rules: Iterable[Rule], is_suspected: Callable[[str], bool]) -> bool:
    """Whether a cause that is proven by its evidence alone explains a rule: no trial could tell more.

    Args:
        rule: The suspicion.
        rules: What is judged.
        is_suspected: Whether the rule of a code was found to be present.

    Returns:
        Whether there is such a cause.
    """
    return any(
        cause.evidence_suffices and is_suspected(cause.code) for cause in rules if cause.code in rule.explained_by
    )


def cause_of(
    rule: Rule,
    rules: tuple[Rule, ...],
    findings: Mapping[str, Finding],
    cures: Mapping[str, Tried],
    comparison: Comparison | None,
    *,
    deadline: float,
) -> Rule | None:
    """The proven cause that explains a rule: its cure closes most of the shortfall, or removes the rule's sign.

    Args:
        rule: The suspicion.
        rules: What is judged.
        findings: Those so far, by code.
        cures: The trials so far, by the code of their rule.
        comparison: Tells the shortfall, where it could be measured.
        deadline: When the time is up, by the monotonic clock.

    Returns:
        The cause, or None where none explains it.
    """
    told_early = bool(by_phase([rule])[Phase.FIRST_BATCH])  # no training is needed to judge it again
    for cause in rules:
        cured = cures.get(cause.code)
        if cause.code not in rule.explained_by or cured is None or cured.after is None:
            continue
        if findings[cause.code].status is not Status.CONFIRMED:
            continue
        if comparison is not None and comparison.comparators and rule.aim is Aim.TRAINING:
            left = comparison.shortfall_of(cured.after, cured.by_loss)
            if left < MOST_OF_IT.value * comparison.shortfall:
                return cause
        if told_early:
            verdict = judged(rule, Examination(cured.setup, deadline))
            if isinstance(verdict, Verdict) and is_gone(findings[rule.code].verdict, verdict):
                return cause
    return None
