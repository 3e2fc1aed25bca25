"""A treatment on the page: every round with what was tried in it, and the losses before and after."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from unstuck.render.cause import gained
from unstuck.render.cure import CureRecord
from unstuck.render.figures import number
from unstuck.render.lines import clean
from unstuck.render.pictures.curves import losses_of
from unstuck.render.pictures.picture import Picture
from unstuck.report import Change, Finding, Outcome, Report, Status


@final
@dataclass(frozen=True, slots=True)
class Try:
    """One trial of a round.

    Attributes:
        name: Code and name of the diagnosis.
        remedy: What was changed.
        gained: What it achieved.
        kept: Whether this change was kept.
        outcome: The outcome's name.
    """

    name: str
    remedy: str
    gained: str
    kept: bool
    outcome: str


@final
@dataclass(frozen=True, slots=True)
class Step:
    """One round of a treatment.

    Attributes:
        sentence: What its examination found.
        mood: "sick", "well" or "doubt".
        tries: Its trials, the one that was kept first.
        changes: The change that was kept.
    """

    sentence: str
    mood: str
    tries: tuple[Try, ...]
    changes: tuple[Change, ...]


def _try(finding: Finding, kept: bool) -> Try:
    assert finding.trial is not None
    trial = finding.trial
    mean = "" if not trial.before else f"{clean(trial.score, 60)} {_mean(trial.before)} → {_mean(trial.after)}; "
    return Try(
        clean(f"{finding.rule.code} {finding.rule.name}", 100), clean(trial.remedy, 240), mean + gained(trial), kept,
        trial.outcome.value,
    )  # fmt: skip


def _mean(values: Sequence[float]) -> str:
    return number(sum(values) / len(values))


def step_of(report: Report) -> Step:
    """A round in records.

    Args:
        report: Its report.

    Returns:
        What the page says of it.
    """
    from unstuck.render.html.view import mood

    tried = [finding for finding in (*report.findings, *report.ruled_out) if finding.trial is not None]
    cause = report.cause
    proven = cause is not None and cause.status is Status.CONFIRMED and cause.trial is not None
    kept = cause if proven and cause is not None and cause.trial and cause.trial.outcome is Outcome.PRESENT else None
    tries = tuple(_try(finding, finding is kept) for finding in tried)
    changes = kept.trial.changes if kept is not None and kept.trial is not None else ()
    return Step(clean(report.sentence, 320), mood(report), tuple(sorted(tries, key=lambda one: not one.kept)), changes)


def cure_picture(cure: CureRecord) -> Picture | None:
    """The losses per epoch as given and as cured; None where nothing finite is known."""
    if not any(map(math.isfinite, (*cure.before, *cure.after))):
        return None
    return losses_of("cure", "As given, and as cured", {"as given": cure.before, "as cured": cure.after}, "epoch")
