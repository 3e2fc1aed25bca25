"""`diagnose`: examine, judge, try, and report. The only place where the steps come together."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import final

from unstuck.budget import Budget
from unstuck.consequences import cause_of, is_mere_consequence
from unstuck.draft import Draft
from unstuck.errors import SetupError, UnstuckError
from unstuck.examine import Examination
from unstuck.exhibition import exhibit
from unstuck.experiments import Experiments
from unstuck.given import TimeUp, compare, needed, probe, train
from unstuck.guide import ask
from unstuck.judgement import Phase, by_phase, causes_first, chosen_rules, judged
from unstuck.laboratory import Laboratory, affordable_steps
from unstuck.measure.comparison import Comparison, LearnerComparison
from unstuck.measure.gap_split import GapSplit
from unstuck.measure.preparation import Allowance, Prepared, Trained
from unstuck.measure.protocol import Unmeasured
from unstuck.measure.scores import FinalScores
from unstuck.measure.task import Task
from unstuck.progress import Listener, Progress, nobody
from unstuck.ranking import finding_of, ranked, stands
from unstuck.report import FAMILY_BRANCH, Outcome, Report, RuleSummary, Status, Unchecked, Verdict
from unstuck.rule import Aim, Rule
from unstuck.setup import Setup
from unstuck.trials import Tried


def diagnose(
    setup: Setup,
    *,
    budget: float | str = 60.0,
    rules: Iterable[str] | None = None,
    progress: Listener = nobody,
) -> Report:
    """Find out why a set-up fails to train or to generalise.

    Nothing of the user's is touched, and every random generator is where it was afterwards. Ctrl-C, a spent
    budget or an error in the user's own code leave the report of what was found so far.

    Args:
        setup: What to examine.
        budget: Seconds, or "3x" for three times the cost of one run.
        rules: Codes of the rules to judge; all where not given.
        progress: Told what is being done.

    Returns:
        The report; `report.error` says what stopped it, if anything did.

    Raises:
        SetupError: If `setup` is none.
        ValueError: If the budget is neither a positive number nor of the form "3x".
        LookupError: If a code is not that of a rule.
    """
    return Diagnosing(checked(setup), budget, chosen_rules(rules), progress).run()


def checked(setup: Setup) -> Setup:
    """A set-up as it is; a `SetupError` where it is something else."""
    if not isinstance(setup, Setup):
        raise SetupError("`setup` must be an unstuck.Setup", type(setup).__name__, "Make one with `unstuck.Setup.of`.")
    return setup


@final
@dataclass
class Diagnosing:
    """One examination in progress.

    Attributes:
        setup: What is examined.
        budget: Seconds, or "3x".
        rules: What is judged.
        progress: Told what is being done.
        interrupted: Whether Ctrl-C ended it.
    """

    setup: Setup
    budget: float | str
    rules: tuple[Rule, ...]
    progress: Listener
    interrupted: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        """Start the clock."""
        self._time = Budget(self.budget)
        self.examination = Examination(self.setup, self._time.deadline)
        self.examination.put(Allowance(self._time.run_seconds))
        self.examination.listener = lambda wanted: self._tell(f"measuring {_words(wanted.__name__)}")
        self._draft = Draft(self.rules)
        self._opened: Experiments | None = None

    @property
    def cures(self) -> Mapping[str, Tried]:
        """The trials by code of their rule."""
        return {} if self._opened is None else self._opened.cures

    def run(self) -> Report:
        """Do it all, and report whatever was found if it is cut short."""
        error, complete = "", True
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what the user's code warns of, it warns of in every run
                self._everything()
                with self._part("measuring for the pictures"):
                    self._exhibit()
        except KeyboardInterrupt:
            complete = False
            self.interrupted = True
            self._draft.notes.append("stopped by Ctrl-C; this is what was found so far")
        except TimeUp:
            complete = False
            self._draft.notes.append(
                "the time budget was used up before the set-up was trained; a larger --budget is needed"
            )
        except UnstuckError as problem:
            complete, error = False, str(problem)
        laboratory = None if self._opened is None else self._opened.laboratory
        self._draft.notes += [] if self._opened is None else self._opened.notes
        trainings = 0 if laboratory is None else laboratory.trainings
        return self._draft.report(self.examination, self.setup, self._time, trainings, error, complete)

    def _everything(self) -> None:
        phases = by_phase(self.rules)
        quick = phases[Phase.FIRST_BATCH]
        try:
            with self._part("probing"):
                probe(self.examination, self._time, self._draft)
        except (UnstuckError, TimeUp):  # what the first batch shows holds, also where the test split or a step fails
            self._judge(quick)
            raise
        with self._part("judging the first batch"):
            self._judge(quick)
        with self._part("training as given"):
            train(self.examination, self._time, self._draft)
            self.examination.deadline = self._time.deadline
            self._judge(phases[Phase.RUN])
        with self._part("comparing with other learners"):
            learners = self.examination.get(LearnerComparison)
        first = None if isinstance(learners, Unmeasured) else learners.comparison
        if first is not None and first.training_is_large:
            with self._part("trying what the first batch showed"):
                self._try([rule for rule in quick if rule.aim is Aim.TRAINING and not rule.is_cure_all], first)
            if self._is_explained(first):
                self._draft.questions = ask(first)[:1]
                self._draft.leave(self.rules, self.cures)
                return
        with self._part("judging by other learners"):
            self._judge(phases[Phase.LEARNERS])
        with self._part("comparing with copies of the model"):
            comparison = compare(self.examination, self._draft, self.setup)
        with self._part("judging the comparison"):
            self._judge(phases[Phase.COPIES])
        if comparison is not None and not comparison.training_is_large:
            with self._part("splitting the gap"):
                self.examination.get(GapSplit)
        with self._part("trying"):
            self._try(self.rules, comparison)
        with self._part("trying together"):
            if self._opened is not None:
                findings = self._draft.findings
                findings.update(
                    self._opened.together(causes_first(self.rules), findings, comparison, self._judge_again)
                )
        if any(finding.status is Status.CONFIRMED for finding in self._draft.findings.values()):
            self._draft.leave(phases[Phase.FURTHER], self.cures)
            return
        further = phases[Phase.FURTHER]
        standing = [finding for finding in self._draft.findings.values() if stands(finding)]
        open_branches = {FAMILY_BRANCH.get(finding.rule.code[:3]) for finding in standing}
        # What is left where nothing else is wrong cannot be told while it may lie elsewhere.
        too_early = [rule for rule in further if rule.evidence_suffices and open_branches - {rule.branch}]
        self._draft.leave(too_early, self.cures, "another suspicion has to be settled first")
        further = [rule for rule in further if rule not in too_early]
        with self._part("asking further"):
            self._judge(further)
            self._try(further, comparison)

    def _judge(self, rules: Iterable[Rule]) -> None:
        for rule in rules:
            verdict = judged(rule, self.examination)
            if isinstance(verdict, Unmeasured):
                self._draft.unchecked[rule.code] = Unchecked(f"{rule.code} {rule.name}", verdict.reason)
                continue
            finding = finding_of(rule, verdict, None)
            self._draft.findings[rule.code] = finding
            if finding.outcome is Outcome.PRESENT:
                if self._draft.first_finding is None:
                    self._draft.first_finding = self._time.elapsed
                self._tell(f"suspecting {rule.name}", finding.rule)

    def _try(self, rules: Iterable[Rule], comparison: Comparison | None) -> None:
        """Try suspicions in the order of the guide, until a proven cause explains the whole shortfall.

        What may be but a consequence of another suspicion comes after it.
        """
        for rule in causes_first([rule for rule in rules if self._draft.is_suspected(rule.code)]):
            if not self._draft.is_suspected(rule.code) or rule.code in self.cures:
                continue
            explained = rule.aim is Aim.TRAINING and comparison is not None and self._is_explained(comparison)
            if explained or is_mere_consequence(rule, self.rules, self._draft.is_suspected):
                self._draft.leave([rule], self.cures)
                continue
            cause = cause_of(
                rule, self.rules, self._draft.findings, self.cures, comparison, deadline=self._time.deadline
            )
            if cause is not None:
                reason = f"{cause.code} {cause.name} may be its cause; treat that and examine again"
                self._draft.leave([rule], self.cures, reason)
                continue
            suspicion = self._draft.findings[rule.code]
            self._draft.findings[rule.code] = self._experiments(comparison).alone(rule, suspicion, comparison)

    def _judge_again(self, setup: Setup) -> tuple[dict[str, Verdict], Examination]:
        """What the first batch and the run of a changed set-up show, by code, and its measurements."""
        examination = Examination(setup, self._time.deadline)
        examination.put(Allowance(self._time.run_seconds))
        phases = by_phase(self.rules)
        found: dict[str, Verdict] = {}
        for rule in (*phases[Phase.FIRST_BATCH], *phases[Phase.RUN]):
            verdict = judged(rule, examination)
            if isinstance(verdict, Verdict):
                found[rule.code] = verdict
        return found, examination

    def _is_explained(self, comparison: Comparison) -> bool:
        return self._opened is not None and self._opened.explain(self._draft.findings, comparison)

    def _experiments(self, comparison: Comparison | None) -> Experiments:
        """The trials, with a laboratory that is opened once there is something to try."""
        if self._opened is None:
            task, final_scores = self.examination.get(Task), self.examination.get(FinalScores)
            known = None if isinstance(task, Unmeasured) else task
            prepared = needed(self.examination, self._time, Prepared)
            laboratory = Laboratory(prepared, known, self._time.run_seconds, self._time.deadline)
            if isinstance(final_scores, FinalScores):
                run, short = needed(self.examination, self._time, Trained).run, None
                # Where something is wrong for sure, and whole runs would take more than the time left, all are cut.
                if comparison is not None and comparison.training_is_large:
                    for_training = [rule.code for rule in self.rules if rule.aim is Aim.TRAINING]
                    suspicions = sum(map(self._draft.is_suspected, for_training))
                    short = affordable_steps(run, suspicions, self._time.left)
                laboratory.keep(run, final_scores.scores, short)
            self._opened = Experiments(self.examination, laboratory, self._tell)
        return self._opened

    @contextmanager
    def _part(self, name: str) -> Iterator[None]:
        self._tell(name)
        start = time.monotonic()
        try:
            yield
        finally:
            self._draft.parts[name] = time.monotonic() - start

    def _tell(self, doing: str, suspicion: RuleSummary | None = None) -> None:
        self.progress(Progress(doing, self._time.elapsed, self._time.left, suspicion))

    def _exhibit(self) -> None:
        """Measure what only pictures show, where there is time."""
        if not self._time.is_spent:
            present, _ = ranked(list(self._draft.findings.values()), self.rules)
            laboratory = None if self._opened is None else self._opened.laboratory
            rules = {rule.code: rule for rule in self.rules}
            has_much_time = self._time.left >= self._time.elapsed
            exhibit(self.examination, laboratory, present, rules, self.cures, has_much_time)


def _words(name: str) -> str:
    """Spell a type's name: "best constant" for BestConstant."""
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()
