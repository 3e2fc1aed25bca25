"""Nested cross-validation: the choice itself, judged on samples that it has not seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from unstuck.errors import SetupError
from unstuck.measure.task import Task
from unstuck.selection.cross_validation import Settings, cross_validate
from unstuck.selection.folds import Rounds, rows_of
from unstuck.selection.judging import judge
from unstuck.selection.searching import Point, Searched, Source, made
from unstuck.selection.standings import standings_of

Array = np.ndarray[Any, Any]


def nested_scores(
    source: Callable[[], Source],
    rounds: Rounds,
    task: Task | None,
    settings: Settings,
    tell: Callable[[str], None],
) -> Array:
    """Scores of the whole procedure: in each round the choice is made on the training part alone.

    Varma & Simon, "Bias in error estimation when using cross-validation for model selection", BMC Bioinformatics 7
    (2006).

    Args:
        source: A fresh source of candidates each time it is called: the choice searches anew.
        rounds: The folds.
        task: The task, where it is known.
        settings: How candidates are judged and chosen.
        tell: Told what is being done.

    Returns:
        Score of each sample by the candidate that was chosen without it, `[N]`.

    Raises:
        SetupError: If there are no folds, or in one of them no candidate trains.
    """
    if not rounds.splits:
        raise SetupError("`nested` must have folds", "one validation split", "Use folds=5.")
    scores = list[Array]()
    for first, second in rounds.splits:
        picked = _at(settings, first)
        field, _, _, _ = cross_validate(source(), picked, tell, within=first)
        point = field.points[standings_of(field, picked.by, picked.is_sparing).chosen]
        whole = next(one for one in _again(source, point) if one.setup is not None)
        assert whole.setup is not None  # asked for
        rows = rows_of(whole.setup, "train")
        found = judge(whole.setup, rows.subset(torch.from_numpy(first)), rows.subset(torch.from_numpy(second)), task)
        scores.append(found.losses if settings.by == "loss" else found.errors)
    return np.concatenate(scores)


def _again(source: Callable[[], Source], point: Point) -> list[Point]:
    """The candidate on all samples: made anew where it was searched for."""
    fresh = source()
    if isinstance(fresh, Searched):
        return [made(point.name, point.hyper, lambda: fresh.make(**point.hyper))]
    return [one for one in fresh.ask(1) if one.name == point.name]


def _at(settings: Settings, rows: Array) -> Settings:
    """The settings for some samples only."""
    groups = None if settings.groups is None else [settings.groups[place] for place in rows]
    times = None if settings.times is None else [settings.times[place] for place in rows]
    return replace(settings, groups=groups, times=times)
