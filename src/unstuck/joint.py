"""Causes that hurt only together: each remedy alone changes nothing, all of them cure.

First step by step, as one would treat and examine again: on top of the remedy that brought the loss down furthest,
though not far enough, those are tried that are suspected still, or only now, and so on. Where that does not cure, all
suspected remedies are applied one after the other, or all but one. Where one of these ways cures, each remedy is left
out once: those without which the cure fails are necessary, the others are by-standers. What other seeds do not bear out
was lucky, and the next way is tried, as it is where a cure leaves much; the best counts. A remedy that only takes back
or redoes what another one changed is no further cause, and one that a suspected cause explains gives way to that
cause's remedy where it cures as well in its place: how far a remedy comes alone depends on how many ways of it there
are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from unstuck.examine import Examination
from unstuck.gauge import Gauge, loss_compares
from unstuck.laboratory import Attempt, Laboratory
from unstuck.measure.comparison import LARGE, Comparison
from unstuck.pairing import measure
from unstuck.ranking import AS_GOOD
from unstuck.report import Outcome
from unstuck.rule import Aim, Rule
from unstuck.setup import Setup
from unstuck.trials import Tried, shortfall_left
from unstuck.ways import Suspecting, Way, along, gain_of, stepwise, ways

NECESSARY: Final = 0.5
"""A remedy without which less than this share of the joint gain is left is necessary: it does more than the rest."""


def try_together(
    laboratory: Laboratory,
    examination: Examination,
    comparison: Comparison | None,
    rules: Sequence[Rule],
    alone: Mapping[str, Tried],
    suspected: Suspecting,
    announce: Callable[[str], None],
) -> dict[str, Tried]:
    """Try the remedies of several suspected rules at once.

    Args:
        laboratory: Trains, and holds the control.
        examination: Holds the measurements that remedies ask for.
        comparison: Gives the span that gains are shares of, where it could be measured.
        rules: Suspected, none of them proven alone, causes before what they explain; all meant to lower the training
            loss.
        alone: What each of them came to alone, by its code.
        suspected: Gives the rules that are suspected of a changed set-up, and what was measured of it.
        announce: Told what is being tried.

    Returns:
        For each necessary rule the joint trial; empty where they do not cure together either.
    """
    start = time.monotonic()
    given = laboratory.prepared.setup
    by_code = {rule.code: rule for rule in rules}

    def left(setup: Setup) -> tuple[Sequence[Rule], Examination]:
        found, measured = suspected(setup)
        by_code.update((rule.code, rule) for rule in found)
        return found, measured

    announce("trying the suspected remedies together")
    best: Tried | None = None
    for way in ways(laboratory, examination, comparison, rules, alone, left):
        gauge = Gauge(comparison, Aim.TRAINING, loss_compares(given, [way.setup]))
        gain = gain_of(laboratory, gauge, way.setup) if len(way.path) > 1 else 0.0
        if gain >= (LARGE.value if best is None else best.trial.gain.value + AS_GOOD):
            by_cause = _by_causes(laboratory, examination, comparison, rules, alone, left, by_code, way, gain)
            for found in [way] if by_cause is None else [by_cause, way]:
                proven = _proven(laboratory, comparison, by_code, found, announce)
                if proven is not None:
                    best = proven
                    break
        if laboratory.exhausted or (best is not None and not shortfall_left(best, comparison) >= LARGE.value):
            break
    return {} if best is None else _shared(best, time.monotonic() - start)


def _shared(proven: Tried, seconds: float) -> dict[str, Tried]:
    """The joint trial for each of its rules, which tells of the others."""
    codes = [code for code, _ in proven.path]
    return {
        code: replace(
            proven,
            trial=replace(
                proven.trial, seconds=seconds, together_with=tuple(other for other in codes if other != code)
            ),
        )
        for code in codes
    }


def _proven(
    laboratory: Laboratory,
    comparison: Comparison | None,
    rules: Mapping[str, Rule],
    way: Way,
    announce: Callable[[str], None],
) -> Tried | None:
    """The trial of those remedies of a way without which it does not cure; None where they do not cure either."""
    gauge = Gauge(comparison, Aim.TRAINING, loss_compares(laboratory.prepared.setup, [way.setup]))
    gain = gain_of(laboratory, gauge, way.setup)
    necessary = list(way.path)
    for step in way.path:
        rest = [kept for kept in necessary if kept != step]
        without = along(laboratory, way.measured, rules, rest)
        if without is not None and gain_of(laboratory, gauge, without) >= NECESSARY * gain:
            necessary = rest
    cured = along(laboratory, way.measured, rules, necessary)
    if len(necessary) == 1 and _leaves_much(laboratory, comparison, cured):  # one that another had hidden
        if not _leaves_much(laboratory, comparison, way.setup):  # what cures the rest is a cause too
            necessary, cured = list(way.path), way.setup
    if not necessary or cured is None or gain_of(laboratory, gauge, cured) < LARGE.value:  # also where the time is up
        return None
    says = " ".join(rules[code].remedy.says for code, _ in necessary)
    record, after = measure(laboratory, cured, gauge, says, announce)
    if record.outcome is not Outcome.PRESENT:
        return None
    return Tried(record, cured, tuple(necessary), after, gauge.by_loss, way.measured)


def _leaves_much(laboratory: Laboratory, comparison: Comparison | None, setup: Setup | None) -> bool:
    """Whether a changed set-up, from the first seed, falls short by as much as counts as large."""
    given = laboratory.prepared.setup
    attempt = None if setup is None else laboratory.attempt_all([(setup, given.seed)])[0]
    if setup is None or comparison is None or not isinstance(attempt, Attempt):
        return True
    return comparison.shortfall_of(attempt.scores, loss_compares(given, [setup])) >= LARGE.value


def _by_causes(
    laboratory: Laboratory,
    examination: Examination,
    comparison: Comparison | None,
    rules: Sequence[Rule],
    alone: Mapping[str, Tried],
    suspected: Suspecting,
    by_code: Mapping[str, Rule],
    way: Way,
    gain: float,
) -> Way | None:
    """The same cure with a suspected cause in the place of what it explains; None where none then cures as well."""
    codes = [code for code, _ in way.path]
    for code in codes:
        for cause in rules:
            explains = cause.code in by_code[code].explained_by and cause.code not in codes and not cause.is_cure_all
            if not explains or not alone[cause.code].path or laboratory.exhausted:
                continue

            def others(setup: Setup, replaced: str = code) -> tuple[Sequence[Rule], Examination]:
                found, measured = suspected(setup)
                return [rule for rule in found if rule.code in codes and rule.code != replaced], measured

            other = stepwise(laboratory, examination, comparison, others, alone[cause.code])
            gauge = Gauge(comparison, Aim.TRAINING, loss_compares(laboratory.prepared.setup, [other.setup]))
            reached = gain_of(laboratory, gauge, other.setup) if len(other.path) > 1 else 0.0
            if reached >= max(LARGE.value, gain - AS_GOOD):
                return other
    return None
