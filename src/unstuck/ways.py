"""Ways of putting several remedies on top of each other, and what each comes to from the first seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from unstuck.errors import RemedyError
from unstuck.examine import Examination
from unstuck.gauge import Gauge, loss_compares
from unstuck.laboratory import Attempt, Laboratory
from unstuck.measure.comparison import LARGE, Comparison
from unstuck.ranking import AS_GOOD
from unstuck.rule import Aim, Rule
from unstuck.setup import Setup
from unstuck.setup.describe import difference
from unstuck.trials import Path, Tried, apply_remedy, only_lengthens

STARTS: Final = 2
"""Remedies on top of which others are tried, those that brought the loss down furthest alone."""

DEEPEST: Final = 3
"""Remedies on top of each other at most."""

Suspecting = Callable[[Setup], tuple[Sequence[Rule], Examination]]
"""Gives what is suspected of a changed set-up, and what was measured of it."""


@final
@dataclass(frozen=True, slots=True)
class Way:
    """Remedies on top of each other.

    Attributes:
        path: Which ones.
        setup: What they make of the set-up as given.
        measured: By the code of each, the measurements that it was applied with.
    """

    path: Path
    setup: Setup
    measured: Mapping[str, Examination]


def ways(
    laboratory: Laboratory,
    examination: Examination,
    comparison: Comparison | None,
    rules: Sequence[Rule],
    alone: Mapping[str, Tried],
    suspected: Suspecting,
) -> Iterator[Way]:
    """What may cure, the likeliest first.

    Args:
        laboratory: Trains, and holds the control.
        examination: Holds the measurements that remedies ask for.
        comparison: Gives the span that gains are shares of, where it could be measured.
        rules: Suspected, causes before what they explain.
        alone: What the remedy of each came to alone, by its code.
        suspected: Gives what is suspected of a changed set-up.

    Yields:
        One remedy on top of another, from those that went lowest; all at once; all but one.
    """
    reached = {rule.code: _height(laboratory, comparison, alone[rule.code]) for rule in rules}
    for first in _starts(rules, reached)[:STARTS]:
        yield stepwise(laboratory, examination, comparison, suspected, alone[first.code])
    for wanted in _sets(rules) if len(rules) > 1 else ():
        yield _greedy(laboratory, examination, comparison, wanted)


def _starts(rules: Sequence[Rule], reached: Mapping[str, float]) -> list[Rule]:
    """Remedies to build on: those that went lowest; of equal ones those that explain most, then the order given."""
    lowest = min(reached.values())

    def order(rule: Rule) -> tuple[bool, bool, int]:
        explained = sum(rule.code in other.explained_by for other in rules)
        return reached[rule.code] > lowest + AS_GOOD, rule.is_cure_all, -explained

    return sorted((rule for rule in rules if math.isfinite(reached[rule.code])), key=order)


def _height(laboratory: Laboratory, comparison: Comparison | None, tried: Tried) -> float:
    """How far the loss still is above the lowest known with a remedy that was tried alone."""
    gauge = Gauge(comparison, Aim.TRAINING, loss_compares(laboratory.prepared.setup, [tried.setup]))
    return math.inf if tried.after is None else gauge.height(tried.after)


def stepwise(
    laboratory: Laboratory,
    examination: Examination,
    comparison: Comparison | None,
    suspected: Suspecting,
    first: Tried,
) -> Way:
    """Put remedies on top of the first, each time the one that brings the loss down furthest, while it comes down.

    Args:
        laboratory: Trains, and holds the control.
        examination: Holds the measurements of the set-up as given.
        comparison: Gives the span that gains are shares of, where it could be measured.
        suspected: Gives what is suspected of a changed set-up.
        first: The remedy that the others are put on.

    Returns:
        The remedies up to the first that leaves nothing large, or as far as they bring the loss down; once they cure
        in part, by as much as counts as large each.
    """
    cures = first.trial.gain.value >= LARGE.value
    path, setup, reached = first.path, first.setup, _height(laboratory, comparison, first)
    measured = {path[0][0]: examination} if path else {}
    done = [_fields(laboratory.prepared.setup, setup)]
    while len(path) < DEEPEST:
        steps: list[_Step] = []
        rules, now = suspected(setup)
        # More epochs take long, and are tried where nothing else brings the loss down by much.
        last = {rule.code for rule in rules if _only_lengthens(rule, now, setup)}
        for rule in sorted(rules, key=lambda rule: rule.code in last):
            if rule.code in last and min([step.height for step in steps], default=math.inf) <= reached - LARGE.value:
                break
            if rule.code not in dict(path) and not laboratory.exhausted:
                steps += _steps(laboratory, now, comparison, rule, setup, done)
                if steps and steps[-1].suffices:
                    break
        if not steps:
            break
        most = max(step.gain for step in steps)
        good = [step for step in steps if step.gain >= LARGE.value and step.gain >= most - AS_GOOD]
        # Of what cures as well, what mends everything names nothing; else causes come first.
        step = min(good, key=lambda step: step.rule.is_cure_all, default=min(steps, key=lambda step: step.height))
        if step.height >= (reached - LARGE.value if cures else reached) and (cures or not good):
            break
        cures = cures or bool(good)
        done.append(_fields(setup, step.setup))
        path, setup, reached = (*path, (step.rule.code, step.index)), step.setup, step.height
        measured[step.rule.code] = now
        if good and (step.suffices or reached <= LARGE.value):
            break
    return Way(path, setup, measured)


@final
@dataclass(frozen=True, slots=True)
class _Step:
    """One remedy on top of others, from the first seed."""

    rule: Rule
    index: int
    setup: Setup
    gain: float
    height: float
    suffices: bool


def _only_lengthens(rule: Rule, examination: Examination, setup: Setup) -> bool:
    """Whether a remedy, if it applies, trains for more epochs in each of its ways."""
    try:
        return only_lengthens(apply_remedy(rule, examination, setup), setup)
    except RemedyError:
        return False


def _fields(before: Setup, after: Setup) -> frozenset[str]:
    """What a remedy changes, by name."""
    return frozenset(change.field for change in difference(before, after))


def _steps(
    laboratory: Laboratory,
    examination: Examination,
    comparison: Comparison | None,
    rule: Rule,
    setup: Setup,
    done: Sequence[frozenset[str]],
) -> list[_Step]:
    """Each way of a rule's remedy on top of a changed set-up, until one leaves nothing that falls short."""
    given = laboratory.prepared.setup
    try:
        proposed = apply_remedy(rule, examination, setup)
    except RemedyError:
        return []
    # What changes just what one before it did redoes it or takes it back: a rate lowered and raised is one change.
    indices = [index for index, changed in enumerate(proposed) if _fields(setup, changed) not in done]
    candidates = [proposed[index] for index in indices]
    if not candidates:
        return []
    gauge = Gauge(comparison, rule.aim, loss_compares(given, candidates))
    before = laboratory.attempt(given, given.seed).scores
    width = laboratory.at_once(candidates)
    steps: list[_Step] = []
    for start in range(0, len(candidates), width):
        part = candidates[start : start + width]
        attempts = laboratory.attempt_all([(changed, given.seed) for changed in part])
        for index, attempt in zip(indices[start:], attempts, strict=False):
            if isinstance(attempt, Attempt):
                gain, height = gauge.gain(before, attempt.scores), gauge.height(attempt.scores)
                suffices = comparison is not None and gauge.is_enough(comparison, attempt.scores, gain)
                steps.append(_Step(rule, index, proposed[index], gain, height, suffices))
        if any(step.suffices for step in steps):
            break
    return sorted(steps, key=lambda step: step.suffices)


def _sets(rules: Sequence[Rule]) -> Iterator[Sequence[Rule]]:
    """All of them; then all but one, consequences first: what mends a consequence may hurt once its cause is gone."""
    yield rules
    if len(rules) > 2:
        codes = {rule.code for rule in rules}
        for spared in sorted(rules, key=lambda rule: not codes & set(rule.explained_by)):
            yield [rule for rule in rules if rule is not spared]


def _greedy(
    laboratory: Laboratory, examination: Examination, comparison: Comparison | None, rules: Sequence[Rule]
) -> Way:
    """Apply one remedy after the other, of each the candidate that goes lowest on top of those before."""
    setup = laboratory.prepared.setup
    path: list[tuple[str, int]] = []
    done: list[frozenset[str]] = []
    for rule in rules:
        try:
            candidates = apply_remedy(rule, examination, setup)
        except RemedyError:
            continue
        fields = _fields(setup, candidates[0])
        if fields in done:
            continue
        done.append(fields)
        index = 0
        if len(candidates) > 1:
            gauge = Gauge(comparison, rule.aim, loss_compares(laboratory.prepared.setup, candidates))
            gains = [gain_of(laboratory, gauge, candidate) for candidate in candidates]
            index = gains.index(max(gains))
        setup = candidates[index]
        path.append((rule.code, index))
    return Way(tuple(path), setup, {code: examination for code, _ in path})


def along(
    laboratory: Laboratory,
    measured: Mapping[str, Examination],
    rules: Mapping[str, Rule],
    path: Sequence[tuple[str, int]],
) -> Setup | None:
    """What some remedies make of the set-up as given.

    Args:
        laboratory: Holds the set-up as given.
        measured: By the code of each, the measurements that its remedy asks for.
        rules: By their codes.
        path: Which remedies, in the order in which they are applied.

    Returns:
        The changed set-up; None where one of them does not apply.
    """
    setup = laboratory.prepared.setup
    try:
        for code, index in path:
            setup = apply_remedy(rules[code], measured[code], setup)[index]
    except (RemedyError, IndexError):
        return None
    return setup


def gain_of(laboratory: Laboratory, gauge: Gauge, setup: Setup) -> float:
    """What a changed set-up gains from the first seed.

    Args:
        laboratory: Trains, and holds the control.
        gauge: Turns scores into gains.
        setup: The changed set-up.

    Returns:
        The gain, a share of the span; -1 where it could not be trained.
    """
    given = laboratory.prepared.setup
    control, changed = laboratory.attempt_all([(given, given.seed), (setup, given.seed)])
    if not (isinstance(control, Attempt) and isinstance(changed, Attempt)):
        return -1.0
    return gauge.gain(control.scores, changed.scores)
