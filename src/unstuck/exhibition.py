"""What is measured for its picture alone, once everything has been judged: nothing here changes what is concluded."""

from __future__ import annotations

from collections.abc import Mapping

from unstuck.errors import UnstuckError
from unstuck.examine import Examination
from unstuck.laboratory import Laboratory
from unstuck.measure.confusion import Confusions, confusion
from unstuck.measure.curvature.landscape import Landscape
from unstuck.measure.exhibits import Strangers, Suspects
from unstuck.measure.label_noise import LabelNoise
from unstuck.measure.preparation import Prepared, Trained
from unstuck.measure.protocol import NotMeasurable, Unmeasured
from unstuck.measure.shift.drift import InputDrift
from unstuck.measure.task import Task
from unstuck.report import Finding, Outcome
from unstuck.rule import Aim, Rule
from unstuck.setup import Data, Setup
from unstuck.trials import Tried


def exhibit(
    examination: Examination,
    laboratory: Laboratory | None,
    present: tuple[Finding, ...],
    rules: Mapping[str, Rule],
    cures: Mapping[str, Tried],
) -> None:
    """Measure what shows the first finding, and samples that were named, where they can be shown.

    Args:
        examination: Takes the measurements and keeps them for the report.
        laboratory: Holds the cured runs.
        present: The findings, the cause first.
        rules: By code.
        cures: The trials by code of their rule.
    """
    taken = examination.taken()
    drift, noise = taken.get(InputDrift), taken.get(LabelNoise)
    if isinstance(drift, InputDrift) and drift.differs:
        examination.get(Strangers)
    if isinstance(noise, LabelNoise) and noise.answers:
        examination.get(Suspects)
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
