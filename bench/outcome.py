"""Examining one patient, and what came of it."""

import math
import random
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import unstuck
from bench.cases import Case, cases
from bench.yardstick import HARMFUL, Yardstick
from unstuck.errors import RemedyError, UnstuckError
from unstuck.examine import Examination
from unstuck.measure.preparation import Allowance, Prepared
from unstuck.measure.protocol import Unmeasured
from unstuck.measure.scores import split_score
from unstuck.report import FAMILY_BRANCH, Report
from unstuck.rules import load
from unstuck.setup import Setup
from unstuck.trials import apply_remedy

BUDGET = 60.0
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
    shortfall: float = math.nan
    """By how much the run as given falls short of the best comparison, as a share of the span."""
    sentence: str = ""
    unchecked: tuple[str, ...] = ()
    proven: tuple[str, ...] = ()
    """Every cause that any round of the treatment proved."""

    @property
    def solved(self) -> bool:
        """Whether every true cause was found in some round, and the cure works."""
        return set(self.truth) <= set(self.proven) and self.closed >= CURED

    @property
    def right(self) -> tuple[str, ...]:
        """Every code that it is right to name."""
        known = cases().get(self.id)
        return self.truth if known is None else (*self.truth, *known.also)

    @property
    def top1(self) -> bool:
        return bool(self.named) and self.named[0] in self.right

    @property
    def top3(self) -> bool:
        return any(code in self.right for code in self.named[:3])

    @property
    def right_branch(self) -> bool:
        wanted = {FAMILY_BRANCH[code[:3]].value for code in self.right} or {"healthy"}
        return self.branch in wanted

    @property
    def false_alarm(self) -> bool:
        """Anything named on a healthy patient, proven or not."""
        return not self.truth and bool(self.named)


def examine(id: str, floor: bool = True) -> Outcome:
    """Examine, treat and score one patient."""
    case = cases()[id]
    blank = Outcome(case.id, case.group, case.truth)
    try:
        setup = case.patient()
    except RemedyError as reason:
        return replace(blank, skipped=f"does not fit: {reason}")
    if case.twin is None:
        return _told(blank, unstuck.diagnose(setup, budget=BUDGET))
    yardstick = Yardstick(case.twin(), setup)
    gap = yardstick.gap()
    if gap < HARMFUL and not _is_sick_unharmed(case):
        return replace(blank, skipped=f"does no harm here (gap {gap:.2f})")
    cure = unstuck.treat(setup, budget=2.0 * BUDGET)
    proven = (f.rule.code for report in cure.steps for f in report.findings if f.status.value == "confirmed")
    outcome = replace(_told(blank, cure.steps[0]), proven=tuple(dict.fromkeys(proven)))
    if gap < HARMFUL or not _curable(case):
        return outcome
    outcome = replace(outcome, closed=yardstick.closed(cure.setup) if cure.setup is not setup else 0.0)
    if floor:
        trainings = max(1, cure.steps[0].cost.trainings)
        outcome = replace(outcome, random_closed=_random(case, setup, yardstick, trainings))
    return outcome


def _is_sick_unharmed(case: Case) -> bool:
    """Whether the fault is a property of the data or the program itself, whatever it does to the loss."""
    return all(rule.evidence_suffices for rule in load() if rule.code in case.truth)


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
        shortfall=report.questions[0].quantity.value if report.questions else math.nan,
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
    for name in ("closed", "random_closed", "seconds", "shortfall"):
        values[name] = math.nan if values.get(name) is None else values[name]
    return Outcome(**values)
