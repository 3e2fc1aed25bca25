"""What a script was seen to log of itself: the losses of its backward passes and its rates, as curves to judge."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from unstuck.capture.observer import Observer
from unstuck.capture.sightings import Trainer
from unstuck.logs.run import LoggedRun, LoggedSeries, Meaning

KIND: Final = "the backward passes of a script"
FEWEST: Final = 10
"""Losses below which there is no curve to judge."""


def logged(observer: Observer, script: Path, finished: bool) -> tuple[LoggedRun, ...]:
    """The curves of each optimizer; of all backward passes where no optimizer of torch stepped.

    Args:
        observer: Has watched a script.
        script: Its path.
        finished: Whether the script came to its own end.

    Returns:
        One run for each optimizer, in the order of their first steps; none where there are too few losses.
    """
    trainers = [each for each in observer.trainers.values() if each.steps]
    runs = [_run(_name(each, place), script, _losses(each, observer.losses), each.rates) for place, each in
            enumerate(trainers, 1)]  # fmt: skip
    if not trainers:
        runs = [_run("all backward passes", script, observer.losses, ())]
    return tuple(replace(run, cut=not finished) for run in runs if len(run.columns["loss"]) >= FEWEST)


def _name(trainer: Trainer, place: int) -> str:
    return trainer.place[0] or f"optimizer {place}"


def _losses(trainer: Trainer, losses: Sequence[float]) -> list[float]:
    """The mean loss behind each step; NaN where there was none."""
    spans = zip(trainer.first_loss, trainer.last_loss, strict=True)
    return [sum(losses[first:last]) / (last - first) if last > first else math.nan for first, last in spans]


def _run(name: str, script: Path, losses: Sequence[float], rates: Sequence[float]) -> LoggedRun:
    columns = {"loss": _series("loss", losses)}
    meanings = {Meaning.TRAINING_LOSS: "loss"}
    if len(rates):
        columns["rate"] = _series("rate", rates)
        meanings[Meaning.RATE] = "rate"
    return LoggedRun(name, script, KIND, "step", columns, meanings)


def _series(column: str, values: Sequence[float]) -> LoggedSeries:
    return LoggedSeries(column, np.arange(len(values), dtype=np.float64), np.asarray(values, np.float64))
