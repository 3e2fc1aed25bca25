"""Causes that hurt only together: each remedy alone changes nothing, all of them cure.

First step by step, as one would treat and examine again: on top of the remedy that brought the loss down furthest,
though not far enough, those are tried that are suspected still, or only now, and so on. Where that does not cure, all
suspected remedies are applied one after the other, or all but one. Where one of these ways cures, each remedy is left
out once: those without which the cure fails are necessary, the others are by-standers. A remedy that only takes back or
redoes what another one changed is no further cause, and one that a suspected cause explains gives way to that cause's
remedy where it cures as well in its place: how far a remedy comes alone depends on how many ways of it there are.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, final

from unstuck.errors import RemedyError
from unstuck.examine import Examination
from unstuck.gauge import Gauge, loss_compares
from unstuck.laboratory import Attempt, Laboratory
from unstuck.measure.comparison import LARGE, Comparison
from unstuck.pairing import measure
from unstuck.ranking import AS_GOOD
from unstuck.report import Outcome
from unstuck.rule import Aim, Rule
from unstuck.setup import Setup
from unstuck.setup.describe import difference
from unstuck.trials import Path, Tried, apply_remedy

NECESSARY: Final = 0.5
"""A remedy without which less than this share of the joint gain is left is necessary: it does more than the rest."""

STARTS: Final = 2
"""Remedies on top of which others are tried, those that brought the loss down furthest alone."""

DEEPEST: Final = 3
"""Remedies on top of each other at most."""

Suspecting = Callable[[Setup], tuple[Sequence[Rule], Examination]]
"""Gives what is suspected of a changed set-up, and what was measured of it."""


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
    for way in _ways(laboratory, examination, comparison, rules, alone, left):
        path = way.path
        gauge = Gauge(comparison, Aim.TRAINING, loss_compares(given, [way.setup]))
        gain = _gain(laboratory, gauge, way.setup) if len(path) > 1 else 0.0
        if gain >= LARGE.value:
            break
        if laboratory.exhausted:
            return {}
    else:
        return {}
    way, gain = _by_causes(laboratory, examination, comparison, rules, alone, left, by_code, way, gain)
    path, gauge = way.path, Gauge(comparison, Aim.TRAINING, loss_compares(given, [way.setup]))
    necessary = list(path)
    for step in path:
        rest = [kept for kept in necessary if kept != step]
        without = _along(laboratory, way.measured, by_code, rest)
        if without is not None and _gain(laboratory, gauge, without) >= NECESSARY * gain:
            necessary = rest
    if len(necessary) < 2:
        return {}
    cured = _along(laboratory, way.measured, by_code, necessary)
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
            way.measured,
        )
        for code in codes
    }


@final
@dataclass(frozen=True, slots=True)
class _Way:
    """Remedies on top of each other.

    Attributes:
        path: Which ones.
        setup: What they make of the set-up as given.
        measured: By the code of each, the measurements that it was applied with.
    """

    path: Path
    setup: Setup
    measured: Mapping[str, Examination]


def _ways(
    laboratory: Laboratory,
    examination: Examination,
    comparison: Comparison | None,
    rules: Sequence[Rule],
    alone: Mapping[str, Tried],
    suspected: Suspecting,
) -> Iterator[_Way]:
    """What may cure, the likeliest first.

    Yields:
        One remedy on top of another, from those that went lowest; all at once; all but one.
    """
    reached = {rule.code: _height(laboratory, comparison, alone[rule.code]) for rule in rules}
    for first in _starts(rules, reached)[:STARTS]:
        yield _stepwise(laboratory, examination, comparison, suspected, alone[first.code])
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


def _stepwise(
    laboratory: Laboratory,
    examination: Examination,
    comparison: Comparison | None,
    suspected: Suspecting,
    first: Tried,
) -> _Way:
    """Put remedies on top of the first, each time the one that brings the loss down furthest, while it comes down."""
    path, setup, reached = first.path, first.setup, _height(laboratory, comparison, first)
    measured = {path[0][0]: examination} if path else {}
    done = [_fields(laboratory.prepared.setup, setup)]
    while len(path) < DEEPEST:
        steps: list[_Step] = []
        rules, now = suspected(setup)
        for rule in rules:
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
        if step.height >= reached and not good:
            break
        done.append(_fields(setup, step.setup))
        path, setup, reached = (*path, (step.rule.code, step.index)), step.setup, step.height
        measured[step.rule.code] = now
        if good:
            break
    return _Way(path, setup, measured)


def _by_causes(
    laboratory: Laboratory,
    examination: Examination,
    comparison: Comparison | None,
    rules: Sequence[Rule],
    alone: Mapping[str, Tried],
    suspected: Suspecting,
    by_code: Mapping[str, Rule],
    way: _Way,
    gain: float,
) -> tuple[_Way, float]:
    """The same cure with a suspected cause in the place of what it explains, where it then cures as well."""
    codes = [code for code, _ in way.path]
    for code in codes:
        for cause in rules:
            explains = cause.code in by_code[code].explained_by and cause.code not in codes and not cause.is_cure_all
            if not explains or not alone[cause.code].path or laboratory.exhausted:
                continue

            def others(setup: Setup, replaced: str = code) -> tuple[Sequence[Rule], Examination]:
                found, measured = suspected(setup)
                return [rule for rule in found if rule.code in codes and rule.code != replaced], measured

            other = _stepwise(laboratory, examination, comparison, others, alone[cause.code])
            gauge = Gauge(comparison, Aim.TRAINING, loss_compares(laboratory.prepared.setup, [other.setup]))
            reached = _gain(laboratory, gauge, other.setup) if len(other.path) > 1 else 0.0
            if reached >= max(LARGE.value, gain - AS_GOOD):
                return other, reached
    return way, gain


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
) -> _Way:
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
            gains = [_gain(laboratory, gauge, candidate) for candidate in candidates]
            index = gains.index(max(gains))
        setup = candidates[index]
        path.append((rule.code, index))
    return _Way(tuple(path), setup, {code: examination for code, _ in path})


def _along(
    laboratory: Laboratory, measured: Mapping[str, Examination], rules: dict[str, Rule], path: Sequence[tuple[str, int]]
) -> Setup | None:
    setup = laboratory.prepared.setup
    try:
        for code, index in path:
            setup = apply_remedy(rules[code], measured[code], setup)[index]
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
