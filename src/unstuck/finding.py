"""The records of a finding: what a rule says, what the trial of its remedy came to, and how far both prove it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import final

from unstuck.quantity import Quantity, Threshold


class Outcome(enum.Enum):
    """What a rule, or the trial of its remedy, came to."""

    PRESENT = "present"
    ABSENT = "absent"
    UNDECIDED = "undecided"


class Status(enum.Enum):
    """How far a finding is proven."""

    CONFIRMED = "confirmed"
    SUSPECTED = "suspected"


class Applies(enum.Enum):
    """How freely a remedy may be applied."""

    SAFE = "safe"
    OPT_IN = "opt-in"
    ADVICE = "advice"


@final
@dataclass(frozen=True, slots=True)
class Evidence:
    """One number that speaks for or against a suspicion.

    Attributes:
        quantity: What was measured.
        limit: What it was held against, where there is a limit.
    """

    quantity: Quantity
    limit: Threshold | None = None


@final
@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule says of a chart.

    Attributes:
        outcome: PRESENT raises a suspicion that a trial then tests.
        sentence: One sentence for the user, with the number that decided.
        evidence: The numbers, the deciding one first.
        where: Names of the layers, features or lines concerned.
        certain: Whether the measurement is proof by itself, such as outputs that no weights can change: the remedy
            need not cure everything, for another fault may hide behind this one.
    """

    outcome: Outcome
    sentence: str
    evidence: tuple[Evidence, ...] = ()
    where: tuple[str, ...] = ()
    certain: bool = False


@final
@dataclass(frozen=True, slots=True)
class RuleSummary:
    """What a report keeps of a rule.

    Attributes:
        code: Such as "OPT001".
        name: Such as "learning-rate-too-high".
        title: Its one-line statement of the fault.
        why: Why it hurts, as a paragraph.
    """

    code: str
    name: str
    title: str
    why: str = ""


@final
@dataclass(frozen=True, slots=True)
class Change:
    """One line of the difference between the set-up as given and the set-up as cured.

    Attributes:
        field: What changes, such as "optimizer.lr".
        before: As given, rendered.
        after: As cured, rendered.
        line: Where the user's source makes or uses this part, as "train.py:12", or "" where that is not known.
    """

    field: str
    before: str
    after: str
    line: str = ""


@final
@dataclass(frozen=True, slots=True)
class Curve:
    """A curve over training, thinned for display.

    Attributes:
        label: What it shows, such as "as given, seed 0".
        steps: Step numbers, shape `[K]`.
        values: Loss at those steps, shape `[K]`; non-finite values are kept.
    """

    label: str
    steps: tuple[int, ...]
    values: tuple[float, ...]


@final
@dataclass(frozen=True, slots=True)
class Candidate:
    """One of several changes that a remedy proposes, as screened on the first seed.

    Attributes:
        changes: The change as a diff of the set-up.
        score: Its score, as in the trial.
        gain: What it gains, as a share of the span.
    """

    changes: tuple[Change, ...]
    score: float
    gain: float


@final
@dataclass(frozen=True, slots=True)
class Trial:
    """A remedy run against an equal-budget control, paired over seeds.

    Attributes:
        remedy: What was changed, as an imperative sentence.
        changes: The change as a diff of the set-up.
        outcome: PRESENT: the remedy cures, so the cause is confirmed. ABSENT: refuted.
        score: What is compared, such as "training loss" (lower is better).
        seeds: The seeds that were run, shape `[S]`.
        before: Score of the control per seed, shape `[S]`.
        after: Score with the remedy per seed, shape `[S]`.
        gain: What the remedy gains, as a share of the span from the best constant prediction to the lowest score
            known, with its interval over seeds; decides the outcome.
        closed: What the remedy gains, as a share of what the set-up as given falls short of that lowest score:
            1 closes all; None where that is not known.
        curves: Curves of control and remedy.
        seconds: Wall time.
        together_with: Codes of the rules whose remedies were applied along with it, each of them necessary.
        note: What a reader should know, such as a seed that was cut short.
        candidates: All changes that were screened, the one that gains most first; empty where there was but one.
    """

    remedy: str
    changes: tuple[Change, ...]
    outcome: Outcome
    score: str
    seeds: tuple[int, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    gain: Quantity
    closed: float | None = None
    curves: tuple[Curve, ...] = ()
    seconds: float = 0.0
    together_with: tuple[str, ...] = ()
    note: str = ""
    candidates: tuple[Candidate, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Finding:
    """A rule with what was found of it.

    Attributes:
        rule: Which diagnosis.
        outcome: PRESENT, ABSENT or UNDECIDED after the trial, where one was run.
        status: CONFIRMED by a trial, or only SUSPECTED.
        verdict: What the chart showed.
        remedy: What to do, as an imperative sentence.
        applies: How freely the remedy may be applied.
        trial: The trial, where one was run.
        explained_by: Code of the finding that explains this one, or "".
        alternative_to: Code of a finding that cures the same fault with a smaller change, or "".
    """

    rule: RuleSummary
    outcome: Outcome
    status: Status
    verdict: Verdict
    remedy: str = ""
    applies: Applies = Applies.ADVICE
    trial: Trial | None = None
    explained_by: str = ""
    alternative_to: str = ""

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """The numbers behind the verdict."""
        return self.verdict.evidence
