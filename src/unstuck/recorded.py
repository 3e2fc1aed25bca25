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
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from unstuck import rules as rule_folder
from unstuck.examine import Examination, requests
from unstuck.judgement import judged, left_open
from unstuck.loop import LayerTrace, RunRecord
from unstuck.measure.course import Course, course_of
from unstuck.measure.first_steps import FirstSteps
from unstuck.measure.gradient_profile import GradientProfile
from unstuck.measure.gradient_spikes import CLIP_AT, EARLY, GradientSpikes
from unstuck.measure.history import History
from unstuck.measure.momentum import Momentum
from unstuck.measure.protocol import Unmeasured
from unstuck.measure.rate_course import RateCourse, rate_course_of
from unstuck.ranking import finding_of, ranked
from unstuck.recording import Notice, Record, RunInfo, Series
from unstuck.report import Branch, Cost, Curve, Finding, Outcome, Provenance, Report, Unchecked, Verdict
from unstuck.rule import Rule
from unstuck.store import stored, wanted_by

NEEDS_SETUP: Final = "It needs a set-up that can be run: `unstuck diagnose`."
"""Why a rule is not judged on a recording."""

POINTS: Final = 4096
"""Losses that a long run is judged by: each the mean of as many steps as that takes."""

AFFINE: Final = frozenset({"Linear", "Conv1d", "Conv2d", "Conv3d", "Bilinear", "ConvTranspose1d", "ConvTranspose2d"})

AT_THE_END: Final = frozenset({"OPT002", "OPT013", "OPT014", "OPT016", "OPT017"})
"""Rules that ask how a run has ended, or how long it was: no question while it goes on."""

SEVERE: Final = frozenset({"OPT001", "OPT007", "OPT020"})


def run_of(record: Record) -> RunRecord:
    """The run that a record holds, as if it had been trained by `fit`.

    Of a long run, a loss is the mean over several steps, evenly over the run; `steps_each` says how many.

    Args:
        record: Open for reading.

    Returns:
        The run.
    """
    info, table = record.info(), record.table()
    empty = record.series("")
    losses, rates = table.get(("loss", ""), empty), table.get(("rate", ""), empty)
    each = steps_each(losses)
    epochs = record.epochs()
    sampled = table.get(("gradient_norm", ""), empty)
    validation = [epoch.measured["validation_loss"] for epoch in epochs if "validation_loss" in epoch.measured]
    if not validation and ("validation_loss", "") in table:
        validation = table["validation_loss", ""].values.tolist()
    broken = bool(losses.bad.any())
    return RunRecord(
        seed=0,
        losses=tuple(_evenly(losses, each)),
        rates=tuple(_evenly(rates, each)),
        epoch_ends=tuple(min(len(_evenly(losses, each)), epoch.step // each) for epoch in epochs),
        validation_losses=tuple(validation),
        sampled_steps=tuple((sampled.steps // each).tolist()),
        layers=tuple(
            LayerTrace(
                layer.name,
                layer.kind,
                layer.depth,
                *(_values(table.get((key, layer.name), empty)) for key in _LAYER_SERIES),
            )
            for layer in record.layers()
        ),
        stopped="non-finite" if broken else "finished",
        seconds=(info.ended or info.heartbeat) - info.created,
        epochs_planned=len(epochs),
        gradient_norms=_values(sampled),
    )


def steps_each(losses: Series) -> int:
    """Steps that one loss of `run_of` stands for."""
    return 1 if not len(losses) else max(1, math.ceil((int(losses.last_steps[-1]) + 1) / POINTS))


def known_of(run: RunRecord, info: RunInfo | None = None, each: int = 1) -> dict[type, Any]:
    """Every measurement that a run alone can fill.

    Args:
        run: The run.
        info: What its record says of it, where there is one.
        each: Steps that one of its losses stands for.

    Returns:
        Type → measurement, or why it cannot be had.
    """
    known: dict[type, Any] = {History: History(run)}
    if run.losses:
        course = course_of(run)
        known[Course] = replace(
            course,
            steps=course.steps * each,
            non_finite_at=course.non_finite_at * each if course.non_finite_at >= 0 else -1,
        )
    else:
        known[Course] = Unmeasured("no training loss was recorded: hand it over by `recording.log(loss=loss)`")
    if any(rate == rate for rate in run.rates):
        rates = rate_course_of(run)
        dwindled = rates.dwindled_at * each if rates.dwindled_at >= 0 else -1
        known[RateCourse] = replace(
            rates, steps=rates.steps * each, full_steps=rates.full_steps * each, dwindled_at=dwindled
        )
    norms = [norm for norm in run.gradient_norms if math.isfinite(norm)]
    if norms:
        known[GradientSpikes] = GradientSpikes(
            len(norms), float(np.median(norms)), float(np.median(norms[:EARLY])), max(norms),
            float(np.quantile(norms, CLIP_AT)),
        )  # fmt: skip
    affine = sorted(
        (layer for layer in run.layers if layer.kind in AFFINE and layer.depth >= 0 and layer.gradient_norm),
        key=lambda layer: layer.depth,
    )
    moving = [layer for layer in affine if any(layer.gradient_norm)]
    if moving:
        relative = tuple(
            layer.gradient_norm[0] / layer.weight_norm[0] if layer.weight_norm[0] > 0.0 else math.nan
            for layer in moving
        )
        known[GradientProfile] = GradientProfile(tuple(layer.name for layer in moving), relative)
    if shares := _stale_shares(run):
        known[FirstSteps] = FirstSteps(
            calls=len(shares), steps=len(shares), stale_shares=shares, gradient_norms=tuple(norms[: len(shares)]),
            raw_norms=(), late_norm=math.nan, layers=(), foreign=0, unregistered=(), order=(),
            step_line="", backward_line="", clear_line="",
        )  # fmt: skip
    if info is not None and run.losses:
        momentum = _momentum(info.settings.get("watch", {}))
        known[Momentum] = Momentum(momentum, len(run.losses) * each)
    return known


def report_of(
    run: RunRecord, known: Mapping[type, Any], setup: Mapping[str, str], provenance: Provenance, notes: Sequence[str]
) -> Report:
    """Judge a recorded run.

    Args:
        run: The run.
        known: What can be said of it, as made by `known_of`.
        setup: What is known of the set-up, for the reader.
        provenance: Where the record comes from.
        notes: Remarks for the reader.

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
        if isinstance(verdict, Unmeasured):
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
        notes.append(f"the run is {info.status}" + (f": {info.error}" if info.error else ""))
    if each > 1:
        notes.append(f"of this long run each loss is the mean of {each} steps")
    command = f"unstuck replay {info.path.name}"
    provenance = Provenance(command, info.versions, str(info.facts.get("device", "cpu")), 0, created)
    return report_of(run, known_of(run, info, each), setup, provenance, notes)


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


LONG_ENOUGH: Final = 100
"""Steps by which the loss of a run that trains has begun to fall, in every healthy set-up of bench/healthy."""


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
    if rule.code in _BLIND and _BLIND[rule.code] in examination.taken():
        return Unmeasured(NEEDS_SETUP)
    if not _can_be_judged(rule, examination.taken()):
        return Unmeasured(NEEDS_SETUP)
    return judged(rule, examination)


_BLIND: Final[Mapping[str, type]] = {"SET007": FirstSteps, "SET015": FirstSteps}
"""Rules that look at more of a measurement than a recording fills."""

_LAYER_SERIES: Final = ("gradient_norm", "weight_norm", "update_norm", "output_rms", "output_zero_share", "stale_share")


def _stale_shares(run: RunRecord) -> tuple[float, ...]:
    """Of each sampled step, the largest share of a layer's gradient that an earlier step had left."""
    series = [layer.stale_share for layer in run.layers if layer.stale_share]
    count = min(map(len, series), default=0)
    return tuple(min(values[place] for values in series) for place in range(count))


def _values(series: Series) -> tuple[float, ...]:
    """First values of the rows: exact where nothing was thinned."""
    return tuple(series.first.tolist())


def _evenly(series: Series, each: int) -> list[float]:
    """Values at even distances, each the mean over as many steps; the first broken one stays broken."""
    if not len(series):
        return []
    steps = np.arange(0, int(series.last_steps[-1]) + 1)[::each] if each > 1 else series.steps
    if each == 1 and bool((series.counts == 1).all()):
        return [float(value) for value in series.first.tolist()]
    places = np.clip(np.searchsorted(series.steps, steps, side="right") - 1, 0, None)
    if each == 1:
        places = np.clip(np.searchsorted(series.steps, np.arange(int(series.last_steps[-1]) + 1), "right") - 1, 0, None)
        values: NDArray[np.float64] = series.values[places]
        return [float(value) for value in values.tolist()]
    owners = series.steps // each
    weights = series.counts - series.bad
    total = np.bincount(owners, np.where(weights > 0, series.values, 0.0) * weights, len(steps))
    count = np.bincount(owners, weights, len(steps))
    means = np.where(count > 0, total / np.maximum(count, 1), series.values[places])
    broken = np.bincount(owners, series.bad, len(steps)) > 0
    means = np.where(broken, np.nan, means)
    return [float(value) for value in means.tolist()]


def _momentum(settings: Mapping[str, Any]) -> float:
    betas = settings.get("betas") or [math.nan]
    return float(settings["momentum"]) if "momentum" in settings else float(betas[0])


def _thinned(curve: Curve, most: int = 400) -> Curve:
    stride = max(1, math.ceil(len(curve.steps) / most))
    return Curve(curve.label, curve.steps[::stride], curve.values[::stride])
