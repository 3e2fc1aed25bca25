"""Cross-validation of every candidate that a source gives; after each fold the hopeless ones are given up."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, final

import numpy as np
import torch

from unstuck.errors import SetupError
from unstuck.examine import Examination
from unstuck.measure.protocol import Unmeasured
from unstuck.measure.task import Kind, Task
from unstuck.selection.folds import Rounds, rounds_of, rows_of
from unstuck.selection.judging import Judged, judge_all
from unstuck.selection.searching import Point, Searched, Source
from unstuck.setup import Setup

Array = np.ndarray[Any, Any]

ONE_STANDARD_ERROR: Final = "one-standard-error"
LOWEST: Final = "lowest"


@final
@dataclass(frozen=True, slots=True)
class Settings:
    """How candidates are judged and chosen; as the arguments of `select`."""

    folds: int
    groups: Sequence[Any] | None
    times: Sequence[Any] | None
    by: str
    rule: str
    jobs: int
    seed: int
    deadline: float

    @property
    def is_sparing(self) -> bool:
        """Whether the smallest within one standard error of the best is chosen, not the best."""
        return self.rule == ONE_STANDARD_ERROR


@final
@dataclass
class Field:
    """Candidates with what came of them.

    Attributes:
        points: The candidates.
        judged: Per candidate, what came of each round so far.
        pruned: Whether it was given up.
        notes: What went otherwise than asked.
        complete: Whether all were judged.
    """

    points: list[Point]
    judged: list[list[Judged]]
    pruned: list[bool]
    notes: list[str]
    complete: bool = True


def cross_validate(
    source: Source, settings: Settings, tell: Callable[[str], None], within: Array | None = None
) -> tuple[Field, Rounds, Task | None, Settings]:
    """Judge every candidate of a source, fold by fold.

    Args:
        source: Gives candidates, and is told how they did.
        settings: How they are judged.
        tell: Told what is being done.
        within: Numbers of the training samples that may be used, `[N]`; all where not given.

    Returns:
        The candidates with what came of them, the rounds, the task where it is known, and the settings with the score
        that decides filled in.

    Raises:
        SetupError: If the candidates are not trained on the same samples, or none of them could be trained.
    """
    field = Field([], [], [], [])
    rounds: Rounds | None = None
    task: Task | None = None
    reference: Setup | None = None
    while points := source.ask(max(1, abs(settings.jobs))):
        if time.monotonic() > settings.deadline and field.points:
            field.complete = False
            field.notes.append("the time was up before all candidates were judged")
            break
        points = [_within(point, within) for point in points]
        usable = [point for point in points if point.setup is not None]
        if rounds is None and usable:
            reference = usable[0].setup
            assert reference is not None  # chosen as such
            task = _task(reference)
            by = settings.by or ("error" if task is not None and task.kind is not Kind.VALUES else "loss")
            settings = replace(settings, by=by)
            rounds = rounds_of(reference, task, settings.folds, settings.groups, settings.times, settings.seed)
        for point in usable:
            _check_alike(point, reference, settings.folds)
        _run(points, field, source, rounds, task, settings, tell)
    if rounds is None or not any(each and not each[0].problem for each in field.judged):
        reasons = [point.problem for point in field.points] + [one.problem for each in field.judged for one in each]
        got = next((reason for reason in reasons if reason), "none")
        raise SetupError("At least one candidate must train", got, "See its message.")
    return field, rounds, task, settings


def mean_of(judged: Sequence[Judged], by: str) -> float:
    """Mean score of a candidate over all samples that it was judged on so far; NaN before the first.

    Args:
        judged: What came of each round.
        by: "loss" or "error".

    Returns:
        The mean.
    """
    parts = [one.losses if by == "loss" else one.errors for one in judged]
    joined = np.concatenate(parts) if parts else np.empty(0)
    return float(joined.mean()) if joined.size else math.nan


def _run(
    points: list[Point],
    field: Field,
    source: Source,
    rounds: Rounds | None,
    task: Task | None,
    settings: Settings,
    tell: Callable[[str], None],
) -> None:
    """Judge some candidates; after each fold the hopeless ones are given up."""
    places = range(len(field.points), len(field.points) + len(points))
    field.points += points
    field.judged += [[] for _ in points]
    field.pruned += [False] * len(points)
    alive = [place for place in places if field.points[place].setup is not None]
    searching = isinstance(source, Searched)
    steps = [[number] for number in range(rounds.count)] if rounds is not None and searching else None
    if rounds is not None:
        for numbers in steps or [list(range(rounds.count))]:
            tell(f"judging {len(alive)} of {len(field.points)} candidates")
            wanted = [(field.points[place].setup, number) for place in alive for number in numbers]
            found, note = judge_all([(one, n) for one, n in wanted if one is not None], rounds, task, settings.jobs)
            if note and note not in field.notes:
                field.notes.append(note)
            for place, rest in zip(alive, range(0, len(found), len(numbers)), strict=True):
                field.judged[place] += found[rest : rest + len(numbers)]
            alive = [place for place in alive if not _is_given_up(field, source, place, numbers[-1], settings.by)]
    for place in places:
        value = mean_of(field.judged[place], settings.by) if place in alive else math.nan
        if field.points[place].trial is not None:
            source.tell(field.points[place], value, field.pruned[place])


def _is_given_up(field: Field, source: Source, place: int, number: int, by: str) -> bool:
    if any(one.problem for one in field.judged[place]):
        return True
    if source.should_stop(field.points[place], number, mean_of(field.judged[place], by)):
        field.pruned[place] = True
    return field.pruned[place]


def _task(setup: Setup) -> Task | None:
    found = Examination(setup).get(Task)
    return None if isinstance(found, Unmeasured) else found


def _within(point: Point, within: Array | None) -> Point:
    if within is None or point.setup is None:
        return point
    train = rows_of(point.setup, "train").subset(torch.from_numpy(within))
    return Point(point.name, point.hyper, replace(point.setup, train=train), point.trial, point.problem)


def _check_alike(point: Point, reference: Setup | None, folds: int) -> None:
    """Candidates are judged on the same samples, whatever they make of the inputs."""
    assert point.setup is not None and reference is not None  # callers have asked
    name = "train" if folds > 1 else "validation"
    own, first = rows_of(point.setup, name), rows_of(reference, name)
    if own.size != first.size:
        got = f"{own.size} in {point.name!r} and {first.size} in another"
        raise SetupError(f"all candidates must have the same `{name}` samples", got, "Give them the same data.")
