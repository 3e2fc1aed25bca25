"""Judging a run that was only recorded: by the rules whose measurements a run alone can fill.

A recording holds no set-up, so nothing can be tried: what is found is suspected, not proven, and what needs a set-up
that can be run comes out as not checked.
"""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from unstuck import rules as rule_folder
from unstuck.curves.judging import NO_SIGN
from unstuck.curves.signs import overfitting
from unstuck.curves.summary import summary_of
from unstuck.examine import Examination, requests
from unstuck.judgement import judged, left_open
from unstuck.logs import Meaning
from unstuck.logs.recorded import read as curves_in
from unstuck.loop import RunRecord
from unstuck.measure.course import Course
from unstuck.measure.first_steps import FirstSteps
from unstuck.measure.protocol import Unmeasured
from unstuck.ranking import finding_of, ranked
from unstuck.recorded_run import known_of, run_of, steps_each
from unstuck.recording import Notice, Record
from unstuck.report import Branch, Cost, Curve, Finding, Outcome, Provenance, Report, Unchecked, Verdict
from unstuck.rule import Rule
from unstuck.store import stored, wanted_by

NEEDS_SETUP: Final = "It needs a set-up that can be run: `unstuck diagnose`."
"""Why a rule is not judged on a recording."""

AT_THE_END: Final = frozenset({"OPT002", "OPT013", "OPT014", "OPT016", "OPT017"})
"""Rules that ask how a run has ended, or how long it was: no question while it goes on."""

AFTER_THE_BEST: Final = frozenset({"GEN001", "GEN002"})
"""Rules that the course of the validation loss raises a suspicion of; which of them it is only a trial tells."""

SEVERE: Final = frozenset({"OPT001", "OPT007", "OPT020"})

LONG_ENOUGH: Final = 100
"""Steps by which the loss of a run that trains has begun to fall, in every healthy set-up of bench/healthy."""

BLIND: Final[Mapping[str, type]] = {"SET007": FirstSteps, "SET015": FirstSteps}
"""Rules that look at more of a measurement than a recording fills."""


def report_of(
    run: RunRecord,
    known: Mapping[type, Any],
    setup: Mapping[str, str],
    provenance: Provenance,
    notes: Sequence[str],
    turned: Verdict | None = None,
) -> Report:
    """Judge a recorded run.

    Args:
        run: The run.
        known: What can be said of it, as made by `known_of`.
        setup: What is known of the set-up, for the reader.
        provenance: Where the record comes from.
        notes: Remarks for the reader.
        turned: Whether the validation loss has turned, as the judge of curves sees it; None where it was not asked.

    Returns:
        A report whose findings are suspected, not proven.
    """
    begun = time.perf_counter()
    everything = rule_folder.load()
    examination = _examination(known)
    course = known.get(Course)
    findings: list[Finding] = []
    unchecked = [Unchecked("the questions of the guide", NEEDS_SETUP)]
    for rule in everything:
        subject = f"{rule.code} {rule.name}"
        verdict = _verdict(rule, examination)
        if rule.code in AFTER_THE_BEST and turned is not None and not _was_driven_up(findings):
            if turned.outcome is Outcome.PRESENT:
                findings.append(finding_of(rule, turned, None))
            else:
                clear = turned.outcome is Outcome.ABSENT
                unchecked.append(Unchecked(subject, f"{NO_SIGN}: {turned.sentence}" if clear else turned.sentence))
        elif isinstance(verdict, Unmeasured):
            unchecked.append(Unchecked(subject, verdict.reason))
        elif verdict.outcome is Outcome.PRESENT and not _shows(rule, verdict, course):
            reason = f"A trial has to tell, for the run itself shows no harm: {verdict.sentence}"
            unchecked.append(Unchecked(subject, reason))
        else:
            findings.append(finding_of(rule, verdict, None))
    present, ruled_out = ranked(findings, everything)
    names = ", ".join(finding.rule.name for finding in present[:3])
    sentence = (
        f"Suspected, but not proven, for a recording cannot be run again: {names}."
        if present
        else "The recorded curves show nothing wrong; whether the loss is large only a set-up that can be run tells."
    )
    curve = Curve("as recorded", tuple(range(len(run.losses))), run.losses)
    return Report(
        sentence=sentence,
        branch_taken=Branch.UNDECIDED,
        questions=(),
        findings=present,
        ruled_out=ruled_out,
        unchecked=(*unchecked, *left_open(findings)),
        curves=(_thinned(curve),) if run.losses else (),
        setup=setup,
        notes=tuple(notes),
        cost=Cost(time.perf_counter() - begun, 0.0, run.seconds, None, 0),
        provenance=provenance,
        chart=stored(known),
    )


def judge_record(record: Record) -> Report:
    """Judge the run of a record.

    Args:
        record: Open for reading.

    Returns:
        The report.
    """
    info = record.info()
    run = run_of(record)
    each = steps_each(record.series("loss"))
    created = datetime.datetime.fromtimestamp(info.created, datetime.timezone.utc).isoformat(timespec="seconds")
    setup = {"run": info.name, "steps": str(info.last_step + 1), "epochs": str(len(run.epoch_ends)),
             "layers": str(len(run.layers)), "status": info.status}  # fmt: skip
    setup.update({key: str(value) for key, value in info.settings.get("watch", {}).items()})
    notes = [f"judged from the record {info.path.name}; nothing was run"]
    if info.status != "finished":
        notes.append(f"the run is {info.status}: {info.error}" if info.error else f"the run is {info.status}")
    if each > 1:
        notes.append(f"of this long run each loss is the mean of {each} steps")
    command = f"unstuck replay {info.path.name}"
    provenance = Provenance(command, info.versions, str(info.facts.get("device", "cpu")), 0, created)
    return report_of(run, known_of(run, info, each), setup, provenance, notes, _turned(record.path))


def alarms(record: Record) -> list[Notice]:
    """What is wrong with a run that still goes on, where the run itself shows the harm.

    Args:
        record: Open for reading.

    Returns:
        At most one notice a rule.
    """
    run = run_of(record)
    each = steps_each(record.series("loss"))
    known = known_of(run, None, each)
    examination, course = _examination(known), known[Course]
    step, now = record.info().last_step, time.time()
    found = []
    for rule in rule_folder.load():
        if rule.code in AT_THE_END:
            continue
        verdict = _verdict(rule, examination)
        if isinstance(verdict, Unmeasured) or verdict.outcome is not Outcome.PRESENT:
            continue
        if _shows(rule, verdict, course):
            severity = "severe" if rule.code in SEVERE else "warning"
            evidence = tuple(
                {"name": each.quantity.name, "value": each.quantity.value, "unit": each.quantity.unit}
                for each in verdict.evidence
            )
            found.append(Notice(step, now, rule.code, rule.name, severity, verdict.sentence, evidence))
    return found


def warm_up() -> None:
    """Load what judging loads when it is first done, which takes a second or two."""
    losses = tuple(1.0 / (1.0 + step) for step in range(64))
    run = RunRecord(0, losses, (0.1,) * 64, (), (), (), (), "finished", 1.0, 0)
    examination = _examination(known_of(run))
    for rule in rule_folder.load():
        _verdict(rule, examination)


def _turned(path: Path) -> Verdict:
    """Whether the validation loss of a record has turned, by its curves alone."""
    run = curves_in(path)
    columns = {Meaning.TRAINING_LOSS: "loss", Meaning.VALIDATION_LOSS: "validation_loss", Meaning.RATE: "rate"}
    known = {meaning: column for meaning, column in columns.items() if column in run.columns}
    curves, course, _, _ = summary_of(replace(run, meanings=known))
    return overfitting(curves, course)


def _was_driven_up(findings: Sequence[Finding]) -> bool:
    """Whether the run would have gone elsewhere, but for a rate or an operation that broke it."""
    return any(each.rule.code in ("OPT001", "OPT020") and each.outcome is Outcome.PRESENT for each in findings)


def _shows(rule: Rule, verdict: Verdict, course: Any) -> bool:
    """Whether the run itself shows the harm: its loss broke, or has not come down beyond its noise."""
    # What the rules see are signs that a trial then tests; without one, a run that trains is not accused of them.
    if rule.code == "SET006":  # what the program does, whatever comes of it
        return True
    if not isinstance(course, Course):
        return False
    if course.non_finite_at >= 0:
        return True
    if course.steps < LONG_ENOUGH:
        return False
    noise = max(course.early_noise if math.isfinite(course.early_noise) else 0.0, 1e-12)
    return not course.fall > 2.0 * noise


def _examination(known: Mapping[type, Any]) -> Examination:
    examination = Examination(None)
    for kind, value in known.items():
        examination.put(value, kind)
    return examination


def _can_be_judged(rule: Rule, known: Mapping[type, Any]) -> bool:
    """Whether all that a rule cannot do without is known, and something at all."""
    needed = [kind for kind in requests(rule.judge).values() if isinstance(kind, type)]
    return all(kind in known for kind in needed) and any(kind in known for kind in wanted_by(rule.judge))


def _verdict(rule: Rule, examination: Examination) -> Verdict | Unmeasured:
    if rule.code in BLIND and BLIND[rule.code] in examination.taken():
        return Unmeasured(NEEDS_SETUP)
    if not _can_be_judged(rule, examination.taken()):
        return Unmeasured(NEEDS_SETUP)
    return judged(rule, examination)


def _thinned(curve: Curve, most: int = 400) -> Curve:
    stride = max(1, math.ceil(len(curve.steps) / most))
    return Curve(curve.label, curve.steps[::stride], curve.values[::stride])
