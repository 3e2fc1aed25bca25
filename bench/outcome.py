"""Examining one patient, and what came of it."""

import math
import random
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

import unstuck
from bench.cases import SICK, Case, cases
from unstuck.errors import RemedyError, UnstuckError
from unstuck.examine import Examination
from unstuck.loop import Run
from unstuck.measure.best_constant import BestConstant
from unstuck.measure.preparation import Allowance, Prepared
from unstuck.measure.protocol import Unmeasured
from unstuck.measure.scores import split_score
from unstuck.measure.task import Task
from unstuck.report import FAMILY_BRANCH, Report
from unstuck.rules import load
from unstuck.setup import Setup
from unstuck.trials import apply_remedy

BUDGET = 60.0
HARMFUL = 0.1
"""Share of the twin's span by which a fault must hurt to count as one; as for what a report calls large."""
CURED = 0.8
"""Share of the gap to the healthy twin that a cure must close."""


@dataclass(frozen=True)
class Outcome:
    """What came of one patient."""

    id: str
    group: str
    truth: tuple[str, ...]
    skipped: str = ""
    """Why the patient does not count, such as a fault that does not fit or does no harm."""
    named: tuple[str, ...] = ()
    confirmed: tuple[str, ...] = ()
    branch: str = ""
    error: str = ""
    closed: float = math.nan
    """Share of the gap to the healthy twin that treatment closed."""
    random_closed: float = math.nan
    """Likewise for the best of random remedies at the same number of trainings."""
    seconds: float = math.nan
    first_finding: float | None = None
    sentence: str = ""
    unchecked: tuple[str, ...] = ()

    @property
    def top1(self) -> bool:
        return bool(self.named) and self.named[0] in self.truth

    @property
    def top3(self) -> bool:
        return any(code in self.truth for code in self.named[:3])

    @property
    def right_branch(self) -> bool:
        wanted = {FAMILY_BRANCH[code[:3]].value for code in self.truth} or {"healthy"}
        return self.branch in wanted

    @property
    def false_alarm(self) -> bool:
        """Anything named on a healthy patient, proven or not."""
        return not self.truth and bool(self.named)


def _no_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    return torch.tensor(math.inf)


class Yardstick:
    """Scores set-ups as the healthy twin is scored.

    By the task's own error where that tells the two apart, else by the twin's loss.
    """

    def __init__(self, twin: Setup, sick: Setup) -> None:
        examination = Examination(twin)
        task = examination.get(Task)
        self.task = None if isinstance(task, Unmeasured) else task
        self.twin = twin
        self.split = "test" if twin.test is not None else "validation" if twin.validation is not None else "train"
        self.well, self.ill = self.scores(twin), self.scores(sick)
        constant = examination.get(BestConstant)
        name = {"test": "test_loss", "validation": "held_out_loss", "train": "training_loss"}[self.split]
        self.constant: float | None = getattr(constant, name, None)
        self.by_error = self.ill[1] - self.well[1] >= HARMFUL

    def scores(self, setup: Setup) -> tuple[float, float]:
        """Loss and error of a set-up, trained once from its own seed."""
        return self.scores_of(setup, unstuck.fit(setup))

    def scores_of(self, setup: Setup, run: Run) -> tuple[float, float]:
        """Loss and error of a trained set-up; where the twin's loss cannot take its outputs, only the error counts."""
        data = getattr(setup, self.split)
        try:
            score = split_score(self.twin, self.task, setup, run.model, data)
        except UnstuckError:
            score = split_score(replace(self.twin, loss=_no_loss), self.task, setup, run.model, data)
        return score.loss, score.error

    def gap(self) -> float:
        """How much the fault hurts, relative to the twin."""
        return self.closed_by(self.well, whole=False)

    def closed(self, setup: Setup) -> float:
        """Share of the gap that a changed set-up closes."""
        return self.closed_by(self.scores(setup), whole=True)

    def closed_by(self, scores: tuple[float, float], whole: bool) -> float:
        position = 1 if self.by_error else 0
        ill, well, reached = self.ill[position], self.well[position], scores[position]
        worst = 2.0 if self.by_error else 10.0 * max(well, 0.1)
        ill, reached = (
            min(ill, worst) if ill == ill else worst,
            min(reached, worst) if reached == reached else worst,
        )
        if whole:
            return (ill - reached) / max(ill - well, 1e-9)
        # As a share of the span from the best constant down, as in a report.
        span = 1.0 if self.by_error else (abs(ill) if self.constant is None else self.constant - well)
        return (ill - well) / max(span, 1e-9)


def examine(id: str, floor: bool = True) -> Outcome:
    """Examine, treat and score one patient."""
    case = cases()[id]
    blank = Outcome(case.id, case.group, case.truth)
    try:
        setup = case.patient()
    except RemedyError as reason:
        return replace(blank, skipped=f"does not fit: {reason}")
    yardstick = None
    if case.twin is not None:
        yardstick = Yardstick(case.twin(), setup)
        if yardstick.gap() < HARMFUL:
            return replace(blank, skipped=f"does no harm here (gap {yardstick.gap():.2f})")
    if case.group not in SICK:
        return _told(blank, unstuck.diagnose(setup, budget=BUDGET))
    cure = unstuck.treat(setup, budget=2.0 * BUDGET)
    outcome = _told(blank, cure.steps[0])
    assert yardstick is not None
    if not _curable(case):
        return outcome
    outcome = replace(outcome, closed=yardstick.closed(cure.setup) if cure.setup is not setup else 0.0)
    if floor:
        trainings = max(1, cure.steps[0].cost.trainings)
        outcome = replace(outcome, random_closed=_random(case, setup, yardstick, trainings))
    return outcome


def _curable(case: Case) -> bool:
    """Whether any of the true causes has a remedy that can be run; better data or labels cannot be made here."""
    return any(rule.code in case.truth and rule.remedy.apply is not None for rule in load())


def _told(outcome: Outcome, report: Report) -> Outcome:
    return replace(
        outcome,
        named=tuple(finding.rule.code for finding in report.findings),
        confirmed=tuple(f.rule.code for f in report.findings if f.status.value == "confirmed"),
        branch=report.branch,
        error=report.error,
        seconds=report.cost.seconds,
        first_finding=report.cost.first_finding,
        sentence=report.sentence,
        unchecked=tuple(unchecked.subject for unchecked in report.unchecked),
    )


def _random(case: Case, setup: Setup, yardstick: Yardstick, trainings: int) -> float:
    """The best, by held-out loss, of random remedies: as many trainings as the diagnosis took."""
    chance = random.Random(case.id)
    examination = Examination(setup, time.monotonic() + BUDGET)
    examination.put(Allowance(BUDGET / 4))
    pool: list[Setup] = []
    rules = [rule for rule in load() if rule.remedy.apply is not None]
    chance.shuffle(rules)
    for rule in rules:
        if len(pool) >= trainings:
            break
        try:
            pool += apply_remedy(rule, examination, setup)
        except UnstuckError:
            continue
    best, reached = math.inf, 0.0
    prepared = examination.get(Prepared)
    if isinstance(prepared, Unmeasured):
        return 0.0
    for candidate in pool[:trainings]:
        try:
            run = unstuck.fit(candidate)
            held_out = candidate.validation or prepared.held_out
            loss = split_score(setup, None, candidate, run.model, held_out).loss
            if loss < best:
                best, reached = loss, yardstick.closed_by(yardstick.scores_of(candidate, run), whole=True)
        except UnstuckError:
            continue
    return reached


def plain(outcome: Outcome) -> dict[str, Any]:
    """For JSON."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in asdict(outcome).items()
    }


def restored(values: dict[str, Any]) -> Outcome:
    """From JSON."""
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    for name in ("closed", "random_closed", "seconds"):
        values[name] = math.nan if values[name] is None else values[name]
    return Outcome(**values)
