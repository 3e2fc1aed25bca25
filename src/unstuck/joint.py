"""Causes that hurt only together: each remedy alone changes nothing, all of them cure.

All suspected remedies are applied one after the other, or all but one. Where that cures, each is left out once: those
without which the cure fails are necessary, the others are by-standers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from unstuck.errors import RemedyError
from unstuck.examine import Examination
from unstuck.gauge import Gauge, loss_compares
from unstuck.laboratory import Attempt, Laboratory
from unstuck.measure.comparison import LARGE, Comparison
from unstuck.report import Outcome
from unstuck.rule import Rule
from unstuck.setup import Setup
from unstuck.trials import Path, Tried, apply_remedy, measure

NECESSARY: Final = 0.5
"""A remedy without which less than this share of the joint gain is left is necessary: it does more than the rest."""


def try_together(
    laboratory: Laboratory,
    examination: Examination,
    comparison: Comparison | None,
    rules: Sequence[Rule],
    announce: Callable[[str], None],
) -> dict[str, Tried]:
    """Try the remedies of several suspected rules at once.

    Args:
        laboratory: Trains, and holds the control.
        examination: Holds the measurements that remedies ask for.
        comparison: Gives the span that gains are shares of, where it could be measured.
        rules: Suspected, none of them proven alone, in the order of the guide; all with the same aim.
        announce: Told what is being tried.

    Returns:
        For each necessary rule the joint trial; empty where they do not cure together either.
    """
    start = time.monotonic()
    given = laboratory.prepared.setup
    announce("trying the suspected remedies together")
    for wanted in _sets(rules):
        path, chosen = _greedy(laboratory, examination, comparison, wanted)
        gauge = Gauge(comparison, rules[0].aim, loss_compares(given, [chosen]))
        gain = _gain(laboratory, gauge, chosen) if len(path) > 1 else 0.0
        if gain >= LARGE.value:
            break
        if laboratory.exhausted:
            return {}
    else:
        return {}
    by_code = {rule.code: rule for rule in rules}
    necessary = list(path)
    for step in path:
        rest = [kept for kept in necessary if kept != step]
        without = _along(laboratory, examination, by_code, rest)
        if without is not None and _gain(laboratory, gauge, without) >= NECESSARY * gain:
            necessary = rest
    if len(necessary) < 2:
        return {}
    cured = _along(laboratory, examination, by_code, necessary)
    if cured is None or _gain(laboratory, gauge, cured) < LARGE.value:  # also where the time is up
        return {}
    says = " ".join(by_code[code].remedy.says for code, _ in necessary)
    record, after = measure(laboratory, cured, gauge, says, announce)
    if record.outcome is not Outcome.PRESENT:
        return {}
    codes = [code for code, _ in necessary]
    seconds = time.monotonic() - start
    return {
        code: Tried(
            replace(record, seconds=seconds, together_with=tuple(other for other in codes if other != code)),
            cured,
            tuple(necessary),
            after,
            gauge.by_loss,
        )
        for code in codes
    }


def _sets(rules: Sequence[Rule]) -> Iterator[Sequence[Rule]]:
    """All of them; then all but one, consequences first: what mends a consequence may hurt once its cause is gone."""
    yield rules
    if len(rules) > 2:
        codes = {rule.code for rule in rules}
        for spared in sorted(rules, key=lambda rule: not codes & set(rule.explained_by)):
            yield [rule for rule in rules if rule is not spared]


def _greedy(
    laboratory: Laboratory, examination: Examination, comparison: Comparison | None, rules: Sequence[Rule]
) -> tuple[Path, Setup]:
    """Apply one remedy after the other, of each the candidate that goes lowest on top of those before."""
    setup = laboratory.prepared.setup
    path: list[tuple[str, int]] = []
    for rule in rules:
        try:
            candidates = apply_remedy(rule, examination, setup)
        except RemedyError:
            continue
        index = 0
        if len(candidates) > 1:
            gauge = Gauge(comparison, rule.aim, loss_compares(laboratory.prepared.setup, candidates))
            gains = [_gain(laboratory, gauge, candidate) for candidate in candidates]
            index = gains.index(max(gains))
        setup = candidates[index]
        path.append((rule.code, index))
    return tuple(path), setup


def _along(
    laboratory: Laboratory, examination: Examination, rules: dict[str, Rule], path: Sequence[tuple[str, int]]
) -> Setup | None:
    setup = laboratory.prepared.setup
    try:
        for code, index in path:
            setup = apply_remedy(rules[code], examination, setup)[index]
    except (RemedyError, IndexError):
        return None
    return setup


def _gain(laboratory: Laboratory, gauge: Gauge, setup: Setup) -> float:
    """The gain from the first seed; -1 where it could not be trained."""
    given = laboratory.prepared.setup
    control, changed = laboratory.attempt_all([(given, given.seed), (setup, given.seed)])
    if not (isinstance(control, Attempt) and isinstance(changed, Attempt)):
        return -1.0
    return gauge.gain(control.scores, changed.scores)
