"""The report so far: what was found, noted and left, and the report that it becomes, also where it is cut short."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import final

from unstuck.budget import Budget
from unstuck.errors import UnstuckError
from unstuck.examine import Examination
from unstuck.guide import branch_of, settled
from unstuck.judgement import left_open
from unstuck.provenance import provenance
from unstuck.ranking import ranked
from unstuck.report import Cost, Curve, Finding, Outcome, Question, Report, Unchecked
from unstuck.rule import Rule
from unstuck.setup import Setup
from unstuck.setup.describe import describe
from unstuck.statement import sentence_of
from unstuck.store import stored


@final
@dataclass
class Draft:
    """What a diagnosis has come to so far.

    Attributes:
        rules: What is judged.
        findings: By the code of their rule.
        unchecked: What was not looked at and why, by the code of its rule or another name.
        questions: Those of the guide that were answered.
        curves: Of the run as given.
        notes: What else a reader should know, a sentence each.
        parts: Seconds by what they went into.
        first_finding: Seconds until the first suspicion, or None.
        run_seconds: What one run as given takes; 0 before it has been made.
    """

    rules: tuple[Rule, ...]
    findings: dict[str, Finding] = field(default_factory=dict)
    unchecked: dict[str, Unchecked] = field(default_factory=dict)
    questions: tuple[Question, ...] = ()
    curves: tuple[Curve, ...] = ()
    notes: list[str] = field(default_factory=list)
    parts: dict[str, float] = field(default_factory=dict)
    first_finding: float | None = None
    run_seconds: float = 0.0

    def is_suspected(self, code: str) -> bool:
        """Whether a rule was found to be present."""
        return code in self.findings and self.findings[code].outcome is Outcome.PRESENT

    def leave(
        self,
        rules: Iterable[Rule],
        tried: Collection[str],
        reason: str = "a cause is proven; treat it and examine again",
    ) -> None:
        """Take back suspicions that will not be tried: what comes later in the guide waits behind a proven cause.

        Args:
            rules: Those to leave; what is judged of them without a suspicion stays.
            tried: Codes of the rules whose remedies were tried, which stay too.
            reason: Why, as a clause.
        """
        for rule in rules:
            untried = self.is_suspected(rule.code) and rule.code not in tried
            if untried or rule.code not in self.findings:
                self.findings.pop(rule.code, None)
                self.unchecked.setdefault(rule.code, Unchecked(f"{rule.code} {rule.name}", reason))

    def report(
        self, examination: Examination, setup: Setup, time: Budget, trainings: int, error: str, complete: bool
    ) -> Report:
        """End it.

        Args:
            examination: Its measurements become the report's chart.
            setup: As given.
            time: The budget.
            trainings: Runs that the trials took.
            error: What stopped it, or "".
            complete: Whether it came to its end.

        Returns:
            The report.
        """
        if complete and time.is_spent:
            self.notes.append("the time budget was used up; a larger --budget allows more trials and seeds")
        present, ruled_out = ranked(list(self.findings.values()), self.rules)
        for rule in self.rules:
            if rule.code not in self.findings and rule.code not in self.unchecked:
                reason = "the examination ended before it"
                self.unchecked[rule.code] = Unchecked(f"{rule.code} {rule.name}", reason)
        questions = settled(self.questions, present, ruled_out) if complete else self.questions
        branch = branch_of(present, questions)
        return Report(
            sentence=error or sentence_of(branch, present, questions, complete),
            branch_taken=branch,
            questions=questions,
            findings=present,
            ruled_out=ruled_out,
            unchecked=(*self.unchecked.values(), *left_open(self.findings.values())),
            curves=self.curves,
            setup=_described(setup),
            notes=tuple(self.notes),
            cost=Cost(time.elapsed, time.seconds, self.run_seconds, self.first_finding, trainings, self.parts),
            provenance=provenance(setup),
            complete=complete,
            error=error,
            chart=stored(examination.taken()),
        )


def _described(setup: Setup) -> Mapping[str, str]:
    try:
        return describe(setup)
    except UnstuckError:
        return {}
