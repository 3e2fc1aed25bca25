"""The records that a report is made of: plain data, no torch, no rendering.

A `Report` is what `diagnose` hands to the user and what is written to JSON. Text, HTML and JSON are
pure functions of it (`unstuck.render`).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

from unstuck.finding import (
    Applies,
    Candidate,
    Change,
    Curve,
    Evidence,
    Finding,
    Outcome,
    RuleSummary,
    Status,
    Trial,
    Verdict,
)
from unstuck.languages import current, use
from unstuck.quantity import Interval, Quantity, Threshold

SCHEMA_VERSION: Final = 1


class Branch(enum.Enum):
    """The branches of the guide; the value is the public name."""

    SETUP = "setup"
    DATA = "data"
    OPTIMISATION = "optimisation"
    MODEL_BIAS = "model-bias"
    OVERFITTING = "overfitting"
    MISMATCH = "mismatch"
    HEALTHY = "healthy"
    UNDECIDED = "undecided"


FAMILY_BRANCH: Final[Mapping[str, Branch]] = {
    "SET": Branch.SETUP,
    "DAT": Branch.DATA,
    "OPT": Branch.OPTIMISATION,
    "CAP": Branch.MODEL_BIAS,
    "GEN": Branch.OVERFITTING,
    "MIS": Branch.MISMATCH,
}


@final
@dataclass(frozen=True, slots=True)
class Unchecked:
    """Something that was not looked at, and why.

    Attributes:
        subject: A rule ("MIS004 preprocessing-mismatch") or a question of the guide.
        reason: Why not, as a sentence that says what would be needed.
    """

    subject: str
    reason: str


@final
@dataclass(frozen=True, slots=True)
class Question:
    """One fork of the guide.

    Attributes:
        text: The question, such as "Is the training loss large?".
        answer: PRESENT is yes, ABSENT is no.
        quantity: The number that chose the way, with its interval.
        limit: What it was held against.
        because: The comparison in words.
    """

    text: str
    answer: Outcome
    quantity: Quantity
    limit: Threshold
    because: str


@final
@dataclass(frozen=True, slots=True)
class Cost:
    """What the examination took.

    Attributes:
        seconds: Wall time of the whole.
        budget: Seconds that were allowed.
        run_seconds: Wall time of one run of the set-up as given.
        first_finding: Seconds until the first suspicion, or None where there was none.
        trainings: Number of training runs that remedies and their controls took.
        parts: Seconds per part of the examination.
    """

    seconds: float
    budget: float
    run_seconds: float
    first_finding: float | None
    trainings: int
    parts: Mapping[str, float] = field(default_factory=dict)


@final
@dataclass(frozen=True, slots=True)
class Provenance:
    """How to get the same report again.

    Attributes:
        command: The command or call that made it.
        versions: Package → version.
        device: Such as "cpu".
        seed: The seed of the set-up.
        created: ISO 8601 time, UTC.
    """

    command: str
    versions: Mapping[str, str]
    device: str
    seed: int
    created: str


@final
@dataclass(frozen=True, slots=True)
class Report:
    """What `diagnose` found.

    Attributes:
        sentence: The verdict in one sentence.
        branch_taken: The branch of the guide; `branch` is its public name.
        questions: The forks that were passed, in order.
        findings: Causes, ranked; the first is the root cause. Empty for a healthy set-up.
        ruled_out: Rules whose suspicion was absent or refuted, with the numbers.
        unchecked: What was not looked at, and why.
        curves: The run as given.
        setup: The set-up as given, field → rendering.
        notes: Remarks on the examination, such as "stopped by Ctrl-C".
        cost: What it took.
        provenance: Versions, device, seed, command.
        complete: False where the examination was cut short; the rest is what was found so far.
        error: What stopped it, in one sentence, or "".
        chart: The measurements by name, as plain data; what `replay` judges again.
        schema: Version of this layout.
    """

    sentence: str
    branch_taken: Branch
    questions: tuple[Question, ...]
    findings: tuple[Finding, ...]
    ruled_out: tuple[Finding, ...]
    unchecked: tuple[Unchecked, ...]
    curves: tuple[Curve, ...]
    setup: Mapping[str, str]
    notes: tuple[str, ...]
    cost: Cost
    provenance: Provenance
    complete: bool = True
    error: str = ""
    chart: Mapping[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA_VERSION

    @property
    def branch(self) -> str:
        """The branch of the guide by its public name, such as "optimisation"."""
        return self.branch_taken.value

    @property
    def cause(self) -> Finding | None:
        """The root cause, where one was found."""
        return self.findings[0] if self.findings else None

    def __str__(self) -> str:
        """The report as plain text, 80 columns, no colour."""
        from unstuck.render import text  # rendering knows records, not the other way round

        return text.plain(self)

    def plot(self, name: str = "curves") -> Any:
        """One picture of the report as an Altair chart.

        Args:
            name: Which picture; an unknown one is refused with the list of those that this report has.

        Returns:
            An `altair.Chart` or `altair.LayerChart`, to be shown, changed or saved.

        Raises:
            ValueError: If there is no such picture, or the report does not hold what it shows.
            ModuleNotFoundError: If altair, an extra of this package, is not installed.
        """
        from unstuck.render.figure import chart

        return chart(self, name)

    def save_plot(self, path: str | Path, name: str = "curves", inches: float = 3.25) -> None:
        """Write one picture for a paper: black on white, text of 8 points, as wide as a column.

        Args:
            path: Ends in ".pdf", ".svg" or ".png" (300 dots an inch).
            name: Which picture; an unknown one is refused with the list of those that this report has.
            inches: How wide it is on paper, from 2 to 12.

        Raises:
            ValueError: If the ending or the width is another, or the report does not hold such a picture.
            ModuleNotFoundError: If vl-convert, an extra of this package, is not installed.
        """
        from unstuck.render.paper import save_plot

        save_plot(self, path, name, inches)

    def _repr_html_(self) -> str:
        """The report for a notebook: the whole page in a frame of its own, shut off from the notebook."""
        from unstuck.render.html import framed

        return framed(self)

    def save(self, path: str | Path, language: str | None = None) -> None:
        """Write the report; the ending of `path` chooses the form.

        Args:
            path: Ends in ".html", ".json", ".txt", ".md" (for pull requests), ".sarif" or ".xml" (JUnit).
            language: Of what people read, "en" or "zh"; None for the one in use. What machines read is English.

        Raises:
            ValueError: If the ending is another one, or there is no such language.
        """
        from unstuck.render import save

        with use(current() if language is None else language):
            save(self, Path(path))


__all__ = [
    "FAMILY_BRANCH",
    "SCHEMA_VERSION",
    "Applies",
    "Branch",
    "Candidate",
    "Change",
    "Cost",
    "Curve",
    "Evidence",
    "Finding",
    "Interval",
    "Outcome",
    "Provenance",
    "Quantity",
    "Question",
    "Report",
    "RuleSummary",
    "Status",
    "Threshold",
    "Trial",
    "Unchecked",
    "Verdict",
]
