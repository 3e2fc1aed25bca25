"""What is measured for its picture alone, once everything has been judged: nothing here changes what is concluded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from unstuck.errors import UnstuckError
from unstuck.examine import Examination
from unstuck.laboratory import Laboratory
from unstuck.measure.batch_timing import BatchTiming
from unstuck.measure.comparison import LARGE
from unstuck.measure.confusion import Confusions, confusion
from unstuck.measure.curvature.landscape import Landscape
from unstuck.measure.exhibits import Strangers, Suspects
from unstuck.measure.label_noise import LabelNoise
from unstuck.measure.noise_floor import NoiseFloor
from unstuck.measure.preparation import Prepared, Trained
from unstuck.measure.protocol import NotMeasurable, Unmeasured
from unstuck.measure.scores import FinalScores
from unstuck.measure.shift.drift import InputDrift
from unstuck.measure.task import Task
from unstuck.report import Finding, Outcome
from unstuck.rule import Aim, Rule
from unstuck.setup import Data, Setup
from unstuck.trials import Tried

OF_THE_BATCH_SIZE: Final = ("OPT012", "OPT013")


def exhibit(
    examination: Examination,
    laboratory: Laboratory | None,
    present: tuple[Finding, ...],
    rules: Mapping[str, Rule],
    cures: Mapping[str, Tried],
    has_much_time: bool = False,
) -> None:
    """Measure what shows the first finding, and samples that were named, where they can be shown.

    Where nothing is the matter and much of the error is left, how much of it other learners could lose.

    Args:
        examination: Takes the measurements and keeps them for the report.
        laboratory: Holds the cured runs.
        present: The findings, the cause first.
        rules: By code.
        cures: The trials by code of their rule.
        has_much_time: Whether at least as much time is left as was taken.
    """
    taken = examination.taken()
    drift, noise = taken.get(InputDrift), taken.get(LabelNoise)
    if isinstance(drift, InputDrift) and drift.differs:
        examination.get(Strangers)
    if isinstance(noise, LabelNoise) and noise.answers:
        examination.get(Suspects)
    if not present and has_much_time and _leaves_much(taken.get(FinalScores)):
        examination.get(NoiseFloor)
    if present and present[0].rule.code in OF_THE_BATCH_SIZE:
        examination.get(BatchTiming)
    if not present or laboratory is None:
        return
    if present[0].rule.code.startswith("OPT"):
        examination.get(Landscape)
    cause = present[0].rule.code
    if cause in rules:
        try:
            examination.put(_confusions(examination, laboratory, rules[cause], cures.get(cause)))
        except (NotMeasurable, UnstuckError) as reason:
            examination.put(Unmeasured(str(reason)), Confusions)


def _leaves_much(scores: object) -> bool:
    """Whether the error on held-out samples is as large a share of the best constant's as counts elsewhere."""
    held_out = scores.scores.held_out if isinstance(scores, FinalScores) else None
    return held_out is not None and held_out.error >= LARGE.value


def _confusions(examination: Examination, laboratory: Laboratory, rule: Rule, tried: Tried | None) -> Confusions:
    """The answers as given, and with the remedy where it cures; the runs are those of the trial."""
    prepared, trained = examination.get(Prepared), examination.get(Trained)
    task = examination.get(Task)
    for each in (prepared, trained, task):
        if isinstance(each, Unmeasured):
            raise NotMeasurable(each.reason)
    assert isinstance(prepared, Prepared) and isinstance(trained, Trained) and isinstance(task, Task)
    given = prepared.setup
    split = "test" if rule.aim is Aim.TEST and given.test is not None else "held-out"
    before = confusion(given, task, given, trained.run.model, _split(given, prepared, split))
    if tried is None or tried.trial.outcome is not Outcome.PRESENT:
        return Confusions(split, before, (), "")
    run = laboratory.attempt(tried.setup, given.seed).run
    after = confusion(given, task, tried.setup, run.model, _split(tried.setup, prepared, split))
    return Confusions(split, before, after, rule.code)


def _split(setup: Setup, prepared: Prepared, split: str) -> Data:
    """A split as the set-up that was trained has it: a remedy may change what its model is fed."""
    chosen = setup.test if split == "test" else setup.validation
    return prepared.held_out if chosen is None else chosen
