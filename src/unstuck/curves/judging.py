"""From a logged run to a report: the judges of curves, and the rules whose measurements a log can fill."""

from __future__ import annotations

import datetime
import importlib.metadata
import math
import platform
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from unstuck import rules as rule_folder
from unstuck.curves.signs import ORDER, PROOFS
from unstuck.curves.summary import CurveSummary, Measured, summary_of
from unstuck.logs import LoggedRun, LoggedSeries, Meaning
from unstuck.measure.course import Course
from unstuck.measure.gradient_spikes import GradientSpikes
from unstuck.measure.protocol import Unmeasured
from unstuck.measure.rate_course import RateCourse
from unstuck.quantity import Quantity
from unstuck.ranking import summary_of as summary_of_rule
from unstuck.report import (
    Applies,
    Branch,
    Cost,
    Curve,
    Evidence,
    Finding,
    Outcome,
    Provenance,
    Report,
    Status,
    Unchecked,
    Verdict,
)
from unstuck.rule import Rule
from unstuck.rules.schedule import dwindles
from unstuck.store import restored_as, stored

POINTS: Final = 400
"""Points of a curve that is drawn."""

OTHERS: Final = "curves do not show it: it needs a set-up that can be run, by `unstuck diagnose` or `unstuck run`"

DECIDED: Final = frozenset({"OPT007", "OPT016", "OPT017", "OPT020"})
"""Diagnoses that curves can rule out: their own judges go by what a log holds."""

NO_SIGN: Final = "the curves show no sign of it, which does not rule it out"

DRIVEN_UP: Final = frozenset({"SET018", "OPT002", "OPT016", "OPT017", "GEN001"})
"""What is not told of a run that ended in no number, or was driven far up: it would have gone elsewhere."""


def judge_run(run: LoggedRun, classes: int = 0, command: str = "") -> Report:
    """Judge a logged run by its curves. Nothing is trained, so every finding is a suspicion.

    Args:
        run: With its meanings.
        classes: Number of classes, where the loss is a cross-entropy in nats; else 0.
        command: What was typed.

    Returns:
        The report.
    """
    start = time.perf_counter()
    measured = summary_of(run, classes)
    present, ruled_out, unchecked = _judged(measured)
    kinds = (CurveSummary, Course, RateCourse, GradientSpikes)
    return Report(
        sentence=_sentence(present),
        branch_taken=Branch.UNDECIDED,
        questions=(),
        findings=present,
        ruled_out=ruled_out,
        unchecked=unchecked,
        curves=_curves(run),
        setup={"log": run.kind, **_taken(run), **run.settings},
        notes=(*_notes(run, measured[0]), *run.notes),
        cost=Cost(time.perf_counter() - start, 0.0, math.nan, None, 0),
        provenance=_provenance(command),
        chart=stored(dict(zip(kinds, measured, strict=True))),
    )


def rejudge(report: Report) -> Report:
    """Judge a report on curves again, with the judges of today.

    Args:
        report: Made by `judge_run`, perhaps by an earlier version.

    Returns:
        The report with verdicts of today; as it is, where its measurements are laid out otherwise.
    """
    kinds = (CurveSummary, Course, RateCourse, GradientSpikes)
    found = [restored_as(report.chart, kind) for kind in kinds]
    if not isinstance(found[0], CurveSummary):
        return report
    present, ruled_out, unchecked = _judged((found[0], found[1], found[2], found[3]))
    return replace(report, sentence=_sentence(present), findings=present, ruled_out=ruled_out, unchecked=unchecked)


def _judged(measured: Measured) -> tuple[tuple[Finding, ...], tuple[Finding, ...], tuple[Unchecked, ...]]:
    curves, course, rates, spikes = measured
    everything = {rule.code: rule for rule in rule_folder.load()}
    verdicts = {code: judge(curves, course) for code, judge in ORDER.items()}
    verdicts |= _by_rules(everything, curves, course, rates, spikes)
    findings = {code: _finding(everything[code], verdict) for code, verdict in verdicts.items() if code in everything}
    present = [finding for finding in findings.values() if finding.outcome is Outcome.PRESENT]
    codes = {finding.rule.code for finding in present}
    if codes & {"OPT001", "OPT020"}:
        present = [finding for finding in present if finding.rule.code not in DRIVEN_UP]
    elif "SET018" in codes:  # what moves by nothing cannot have been overfitted
        present = [finding for finding in present if finding.rule.code not in ("OPT016", "GEN001")]
    elif "OPT016" in codes:
        present = [finding for finding in present if finding.rule.code not in ("SET018", "OPT002", "OPT017")]
        present.sort(key=lambda finding: finding.rule.code != "OPT016")
    elif "OPT002" in codes:
        present = [
            replace(finding, alternative_to="OPT002") if finding.rule.code == "OPT017" else finding
            for finding in present
        ]
    if "OPT020" in codes and curves.before_failure < 1.0 + 1e-9:
        present.sort(key=lambda finding: finding.rule.code != "OPT020")
    absent = [finding for finding in findings.values() if finding.outcome is Outcome.ABSENT]
    ruled_out = tuple(finding for finding in absent if finding.rule.code in DECIDED)
    unchecked = [
        Unchecked(f"{finding.rule.code} {finding.rule.name}", finding.verdict.sentence)
        for finding in findings.values()
        if finding.outcome is Outcome.UNDECIDED
    ]
    unchecked += [
        Unchecked(f"{finding.rule.code} {finding.rule.name}", f"{NO_SIGN}: {finding.verdict.sentence}")
        for finding in absent
        if finding.rule.code not in DECIDED
    ]
    unchecked += [
        Unchecked(f"{rule.code} {rule.name}", OTHERS) for rule in everything.values() if rule.code not in findings
    ]
    return tuple(present), ruled_out, tuple(unchecked)


def _by_rules(
    everything: Mapping[str, Rule],
    curves: CurveSummary,
    course: Course | Unmeasured,
    rates: RateCourse | Unmeasured,
    spikes: GradientSpikes | Unmeasured,
) -> dict[str, Verdict]:
    """The verdicts of those rules whose measurements the log fills."""
    found: dict[str, Verdict] = {}
    if curves.zero_rate_share == 1.0:
        share = Evidence(Quantity("logged rates that are 0 / all", 1.0))
        found["OPT016"] = Verdict(Outcome.PRESENT, "The learning rate is 0 at every logged step.", (share,))
    elif isinstance(rates, Unmeasured) or isinstance(course, Unmeasured):
        missing = rates if isinstance(rates, Unmeasured) else course
        reason = missing.reason if isinstance(missing, Unmeasured) else ""
        found["OPT016"] = Verdict(Outcome.UNDECIDED, f"The schedule cannot be judged: {reason}.")
    elif "OPT016" in everything:
        verdict: Verdict = everything["OPT016"].judge(rates, course)
        if verdict.outcome is Outcome.PRESENT and not dwindles(rates):
            doubt = f"{verdict.sentence.rstrip('.')}: a log alone does not tell that from noise."
            verdict = replace(verdict, outcome=Outcome.UNDECIDED, sentence=doubt)
        found["OPT016"] = verdict
    if "OPT007" in everything:
        found["OPT007"] = everything["OPT007"].judge(Unmeasured("curves do not hold it"), spikes)
    return found


def _finding(rule: Rule, verdict: Verdict) -> Finding:
    proof = PROOFS.get(rule.code, "a set-up that can be run")
    says = f"{rule.remedy.says} What proves it is {proof}, which `unstuck diagnose` does for a set-up that can be run."
    return Finding(summary_of_rule(rule.code), verdict.outcome, Status.SUSPECTED, verdict, says, Applies.ADVICE)


def _sentence(present: tuple[Finding, ...]) -> str:
    if not present:
        return "The curves show no fault. What curves cannot show is listed below."
    first = present[0].verdict.sentence.split(". ")[0].rstrip(".")
    names = ", ".join(finding.rule.name for finding in present[:3])
    return f"{first}. Suspected from the curves, not proven: {names}."


def _taken(run: LoggedRun) -> dict[str, str]:
    return {meaning.value.replace("_", " "): column for meaning, column in run.meanings.items()}


def _notes(run: LoggedRun, curves: CurveSummary) -> list[str]:
    """What was taken for what, and what the curves come to, for the head of the report."""
    parts = []
    for meaning, column in run.meanings.items():
        series = run.columns[column]
        parts.append(f"{meaning.value.replace('_', ' ')} from {column!r} ({len(series)} values)")
    notes = [f"read from {run.kind}: {', '.join(parts)}; `--map` changes that"]
    if curves.entries and math.isfinite(curves.end):
        notes.append(
            f"the training loss went from {curves.first:.3g} to {curves.end:.3g} by {curves.axis} {curves.last_step:g}"
        )
        if curves.validation_entries:
            notes.append(
                f"the validation loss went from {curves.validation_first:.3g} to {curves.validation_end:.3g}, lowest "
                f"{curves.validation_best:.3g} at {curves.axis} {curves.validation_best_step:g}"
            )
            gap = (curves.validation_end - curves.end) / curves.span if curves.span > 0.0 else math.nan
            if math.isfinite(gap):
                notes.append(f"the gap between them at the end is {gap:.0%} of the fall, which alone proves nothing")
    return notes


def _curves(run: LoggedRun) -> tuple[Curve, ...]:
    drawn = []
    for meaning in (Meaning.TRAINING_LOSS, Meaning.VALIDATION_LOSS):
        series = run.series(meaning)
        if series is not None and len(series):
            drawn.append(thinned(meaning.value.replace("_", " "), series))
    return tuple(drawn)


def thinned(label: str, series: LoggedSeries) -> Curve:
    """A series averaged over equal stretches, so that it can be drawn; a stretch with NaN in it is NaN."""
    width = max(1, math.ceil(len(series) / POINTS))
    starts = range(0, len(series), width)
    with np.errstate(invalid="ignore", over="ignore"):
        values = tuple(float(np.mean(series.values[start : start + width])) for start in starts)
    return Curve(label, tuple(int(series.steps[start]) for start in starts), values)


def _provenance(command: str) -> Provenance:
    versions: dict[str, Any] = {"python": platform.python_version(), "unstuck": importlib.metadata.version("unstuck")}
    created = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    return Provenance(command, versions, "read from a log", 0, created)
