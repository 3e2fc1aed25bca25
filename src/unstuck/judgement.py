"""Judging: rules over measurements, taken now or kept in an earlier report. Runs no training."""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, final

from unstuck import rules as rule_folder
from unstuck.catalogue import entry
from unstuck.curves import CurveSummary, rejudge
from unstuck.examine import Examination, requests
from unstuck.experiments import excuse
from unstuck.guide import ask, branch_of, settled
from unstuck.measure.comparison import Comparison
from unstuck.measure.preparation import Trained
from unstuck.measure.protocol import Unmeasured
from unstuck.measure.references import ShuffledControl
from unstuck.ranking import finding_of, ranked
from unstuck.report import Finding, Outcome, Report, Unchecked, Verdict
from unstuck.rule import Rule
from unstuck.statement import sentence_of
from unstuck.store import restored, wanted_by

CURVES: Final = CurveSummary.__name__
"""What the chart of a report on logged curves holds, and no other's."""


def chosen_rules(codes: Iterable[str] | None) -> tuple[Rule, ...]:
    """Choose rules by code or name.

    Args:
        codes: Of the rules wanted; None for all.

    Returns:
        Them, in the order of the guide.

    Raises:
        LookupError: If a code is not that of a rule.
    """
    everything = rule_folder.load()
    if codes is None:
        return everything
    wanted = {entry(code).code for code in codes}
    return tuple(rule for rule in everything if rule.code in wanted)


def replay(report: Report) -> Report:
    """Judge the measurements of an earlier report again, with the rules of today. Runs no training.

    Args:
        report: As loaded from JSON.

    Returns:
        The report with verdicts of today; trials are kept from the earlier one.
    """
    if CURVES in report.chart:
        return rejudge(report)
    examination = Examination(None)
    everything = rule_folder.load()
    chart = dict(restored(report.chart, [rule.judge for rule in everything], [Comparison]))
    for kind, value in chart.items():
        examination.put(value, kind)
    comparison = examination.get(Comparison)
    known = None if isinstance(comparison, Unmeasured) else comparison
    before = {finding.rule.code: finding for finding in (*report.findings, *report.ruled_out)}
    reasons = {missing.subject: missing.reason for missing in report.unchecked}
    findings: list[Finding] = []
    names = {f"{rule.code} {rule.name}" for rule in everything}
    unchecked = [missing for missing in report.unchecked if missing.subject not in names]
    for rule in everything:
        subject = f"{rule.code} {rule.name}"
        if subject in reasons and not set(wanted_by(rule.judge)) <= set(chart):  # it was never asked
            unchecked.append(Unchecked(subject, reasons[subject]))
            continue
        verdict, earlier = judged(rule, examination), before.get(rule.code)
        if isinstance(verdict, Unmeasured):
            unchecked.append(Unchecked(subject, reasons.get(subject, verdict.reason)))
            continue
        finding = finding_of(rule, verdict, None if earlier is None else earlier.trial)
        if finding.trial is None and verdict.outcome is Outcome.PRESENT:
            if subject in reasons:  # a suspicion that was left untried
                unchecked.append(Unchecked(subject, reasons[subject]))
                continue
            finding = excuse(rule, finding, known) or finding
        findings.append(finding)
    questions = report.questions if known is None else ask(known)
    present, ruled_out = ranked(findings, everything)
    if report.complete:
        questions = settled(questions, present, ruled_out)
    branch = branch_of(present, questions)
    return replace(
        report,
        sentence=report.error or sentence_of(branch, present, questions, report.complete),
        branch_taken=branch,
        questions=questions,
        findings=present,
        ruled_out=ruled_out,
        unchecked=(*unchecked, *left_open(findings)),
    )


def left_open(findings: Iterable[Finding]) -> list[Unchecked]:
    """Rules whose measurements decide nothing: neither causes nor ruled out, but not to be passed over in silence."""
    return [
        Unchecked(f"{finding.rule.code} {finding.rule.name}", f"it could not be decided: {finding.verdict.sentence}")
        for finding in findings
        if finding.outcome is Outcome.UNDECIDED and finding.verdict.outcome is Outcome.UNDECIDED
    ]


def judged(rule: Rule, examination: Examination) -> Verdict | Unmeasured:
    """A rule's verdict on what has been measured, or why it cannot be given."""
    found = examination.arguments(rule.judge)
    if isinstance(found, Unmeasured):
        return found
    try:
        verdict: Verdict = rule.judge(**found)
    except Exception as error:  # one broken rule must not cost the user the others
        return Unmeasured(f"judging {rule.code} raised {type(error).__name__}: {error}")
    return verdict


@final
class Phase(enum.IntEnum):
    """When a rule can be judged."""

    FIRST_BATCH = 0
    RUN = 1
    LEARNERS = 2
    COPIES = 3
    FURTHER = 4


def by_phase(rules: Iterable[Rule]) -> dict[Phase, list[Rule]]:
    """Sort rules by what judging them takes, so that each is judged as early as can be.

    Args:
        rules: In the order of the guide.

    Returns:
        Those that need no training run; the run as given; what the comparison with other learners takes besides; what
        that with copies of the model takes; more, which is asked only where nothing else explains the shortfall.
    """
    phases: dict[Phase, list[Rule]] = {phase: [] for phase in Phase}
    for rule in rules:
        cost = max((_deepest(kind) for kind in requests(rule.judge).values()), default=0.0)
        reached = (cost >= 1.0) + (cost > 1.0) + (cost > ShuffledControl.cost) + (cost > Comparison.cost)
        phases[Phase(reached)].append(rule)
    return phases


def _deepest(kind: Any) -> float:
    """The cost of a measurement, or of the costliest that it asks for itself; what is taken later does not count."""
    if kind is Trained:
        return 1.0
    parts = [part for part in typing.get_args(kind) if isinstance(part, type)]
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        return max(map(_deepest, parts))
    own = float(getattr(kind, "cost", 0.0))
    measure = getattr(kind, "measure", None)
    return own if measure is None else max([own, *map(_deepest, requests(measure).values())])


def causes_first(rules: Sequence[Rule]) -> list[Rule]:
    """Order suspected rules so that each comes after those that may explain it, else as they are.

    Args:
        rules: In the order of the guide.

    Returns:
        All of them.
    """
    left, ordered = list(rules), list[Rule]()
    while left:
        codes = {rule.code for rule in left}
        free = next((rule for rule in left if not codes & set(rule.explained_by)), left[0])
        ordered.append(free)
        left.remove(free)
    return ordered
