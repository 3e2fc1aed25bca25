"""A treatment on the page: every round with what was tried in it, and the losses before and after."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from unstuck.render.cause import gained
from unstuck.render.cure import CureRecord
from unstuck.render.figures import number
from unstuck.render.html.view import Card, mood
from unstuck.render.lines import clean, named
from unstuck.render.pictures.curves import losses_of
from unstuck.render.pictures.picture import Picture
from unstuck.render.tries import Round, rounds, split, word
from unstuck.report import Change, Finding, Outcome


@final
@dataclass(frozen=True, slots=True)
class Try:
    """One trial of a round.

    Attributes:
        name: Code and name of the diagnosis.
        remedy: What was changed.
        scores: Mean score before and after, or "".
        gained: What it achieved.
        outcome: The outcome's name, for its colour.
        says: What became of it, in two words.
    """

    name: str
    remedy: str
    scores: str
    gained: str
    outcome: str
    says: str


@final
@dataclass(frozen=True, slots=True)
class Step:
    """One round of a treatment.

    Attributes:
        sentence: What its examination found.
        mood: "sick", "well" or "doubt".
        shown: What was tried and not kept, the best first.
        rest: What gained less than those.
        kept: The trial whose remedy was kept; None where nothing was changed.
        changes: The change that was kept.
    """

    sentence: str
    mood: str
    shown: tuple[Try, ...]
    rest: tuple[Try, ...]
    kept: Try | None
    changes: tuple[Change, ...]


def _try(finding: Finding, kept: Finding | None) -> Try:
    assert finding.trial is not None
    trial = finding.trial
    scores = f"{clean(trial.score, 60)} {_mean(trial.before)} → {_mean(trial.after)}" if trial.before else ""
    name = f"{named(finding.rule.code, 12)} {named(finding.rule.name, 80)}"
    says = word(finding, kept)
    return Try(name, clean(trial.remedy, 240), scores, gained(trial), trial.outcome.value, says)


def _mean(values: Sequence[float]) -> str:
    return number(sum(values) / len(values)) if values else "none"


def steps_of(cure: CureRecord) -> tuple[Step, ...]:
    """The rounds of a treatment.

    Args:
        cure: The cure.

    Returns:
        What the page says of each.
    """
    return tuple(_step(each) for each in rounds(cure))


def _step(each: Round) -> Step:
    shown, rest = (tuple(_try(finding, each.kept) for finding in part) for part in split(each.others))
    kept = None if each.kept is None else _try(each.kept, each.kept)
    changes = each.kept.trial.changes if each.kept is not None and each.kept.trial is not None else ()
    return Step(clean(each.report.sentence, 320), mood(each.report), shown, rest, kept, changes)


def cards_of(cure: CureRecord, otherwise: Sequence[Card]) -> Sequence[Card]:
    """What was wrong, what was changed, what came of it: the first screen of a treatment.

    Args:
        cure: The cure.
        otherwise: Answers for where nothing was changed.

    Returns:
        Three answers.
    """
    kept = [finding for each in rounds(cure) for finding in each.all_kept]
    if not kept:
        return otherwise
    seeds = min(len(finding.trial.seeds) for finding in kept if finding.trial is not None)
    sure = f"Each proven by trying it on {seeds} seed{'' if seeds == 1 else 's'} at least."
    if len(kept) == 1:
        sure = f"Proven by trying it on {seeds} seed{'' if seeds == 1 else 's'}."
    if any(finding.trial is not None and finding.trial.outcome is not Outcome.PRESENT for finding in kept):
        sure = "Proven by measurement."
    wrong = Card("What was wrong?", _one_after_another([clean(finding.rule.title, 200) for finding in kept]), sure)
    changed = Card("What was changed?", _one_after_another([clean(finding.remedy, 240) for finding in kept]), "")
    last = clean(cure.steps[-1].sentence, 240)
    if rounds(cure)[-1].kept is not None:
        last = "It was not examined again, for want of time."
    ends = ""
    if cure.before and cure.after:
        ends = f"Loss at the end: {number(cure.before[-1])} as given, {number(cure.after[-1])} as cured."
    return wrong, changed, Card("What came of it?", ends or last, last if ends else "")


def _one_after_another(sentences: Sequence[str]) -> str:
    """Sentences, each once."""
    return " ".join(dict.fromkeys(sentences))


def cure_picture(cure: CureRecord) -> Picture | None:
    """The losses per epoch as given and as cured; None where nothing finite is known."""
    if not any(map(math.isfinite, (*cure.before, *cure.after))):
        return None
    return losses_of("cure", "As given, and as cured", {"as given": cure.before, "as cured": cure.after}, "epoch")
