"""What a treatment tried, as a tree: each round with its trials, of which one was kept and leads to the next round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, final

from unstuck.languages import marked
from unstuck.report import Applies, Finding, Outcome, Report, Status

MOST: Final = 6
"""Trials of a round that are shown at once, those that gained most."""


class Treated(Protocol):
    """What the tree needs of a cure."""

    @property
    def steps(self) -> tuple[Report, ...]:
        """The report of each round."""

    @property
    def sentence(self) -> str:
        """What came of it."""


@final
@dataclass(frozen=True, slots=True)
class Round:
    """One round of a treatment.

    Attributes:
        report: Its examination.
        others: What was tried and not kept, the best first.
        kept: The finding whose remedy was kept; None where nothing was.
        is_last: Whether no other round follows.
    """

    report: Report
    others: tuple[Finding, ...]
    kept: Finding | None
    is_last: bool

    @property
    def all_kept(self) -> tuple[Finding, ...]:
        """The finding whose remedy was kept, then those whose remedies were kept together with it."""
        if self.kept is None:
            return ()
        return (self.kept, *(finding for finding in self.others if _is_with(finding, self.kept)))


def rounds(cure: Treated) -> tuple[Round, ...]:
    """The rounds of a treatment.

    Args:
        cure: What `treat` returned.

    Returns:
        A round for each report.
    """
    return tuple(_round(cure, place) for place in range(len(cure.steps)))


def _round(cure: Treated, place: int) -> Round:
    report, is_last = cure.steps[place], place == len(cure.steps) - 1
    cause = report.cause
    treated = cause is not None and cause.status is Status.CONFIRMED and cause.trial is not None
    treated = treated and cause is not None and cause.applies is not Applies.ADVICE
    if is_last and treated and cause is not None:  # for want of time the last may have been treated too
        treated = cause.rule.name in cure.sentence.partition(". ")[0]
    kept = cause if treated else None
    tried = [finding for finding in (*report.findings, *report.ruled_out) if finding.trial is not None]
    others = sorted((finding for finding in tried if finding is not kept), key=_gain, reverse=True)
    return Round(report, tuple(others), kept, is_last)


def _gain(finding: Finding) -> float:
    value = finding.trial.gain.value if finding.trial is not None else 0.0
    return value if value == value else float("-inf")


def word(finding: Finding, kept: Finding | None) -> str:
    """What became of a trial, in two words.

    Args:
        finding: What was tried.
        kept: What was kept in its round.

    Returns:
        The words.
    """
    if finding is kept:
        return marked("kept")
    if kept is not None and _is_with(finding, kept):
        return "kept as well"
    outcome = finding.trial.outcome if finding.trial is not None else Outcome.UNDECIDED
    return {Outcome.PRESENT: "helps too", Outcome.ABSENT: "does not help"}.get(outcome, "left open")


def _is_with(finding: Finding, kept: Finding) -> bool:
    """Whether a remedy was kept together with that of another finding."""
    return kept.trial is not None and finding.rule.code in kept.trial.together_with


def split(others: Sequence[Finding]) -> tuple[Sequence[Finding], Sequence[Finding]]:
    """Those that are shown at once, and the rest; a rest of one is shown too."""
    return (others, ()) if len(others) <= MOST + 1 else (others[:MOST], others[MOST:])
