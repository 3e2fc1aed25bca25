"""Training a candidate on one part and scoring it on another, in this process or in several."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from unstuck.errors import UnstuckError
from unstuck.loop import fit
from unstuck.measure.sample_scores import sample_scores
from unstuck.measure.task import Task
from unstuck.selection.folds import Rounds
from unstuck.setup import Setup
from unstuck.setup.data import StackedData

Array = np.ndarray[Any, Any]

EVERYTHING = 10**9


@final
@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What came of one candidate in one round.

    Attributes:
        losses: Per judged sample, `[N]`, or per batch where the loss is no mean over samples.
        errors: Per judged sample, `[N]`; empty where the task is not known.
        training_curve: Training loss per epoch.
        validation_curve: Loss on the judged samples per epoch.
        problem: Why it could not be trained, or "".
    """

    losses: Array
    errors: Array
    training_curve: tuple[float, ...] = ()
    validation_curve: tuple[float, ...] = ()
    problem: str = ""


def judge(setup: Setup, train: StackedData, held: StackedData, task: Task | None) -> Judged:
    """Train a set-up on some samples and score it on others.

    Early stopping, where the set-up asks for it, would choose by the judged samples: its epoch is then chosen on a
    fifth of the samples that it trains on.

    Args:
        setup: The candidate.
        train: What it is trained on.
        held: What it is judged on.
        task: The task, where it is known.

    Returns:
        What came of it; a problem instead of an error that its own code raises.
    """
    own: StackedData = held
    if setup.early_stopping:
        train, own = train.split(0.2, setup.seed)
    try:
        run = fit(replace(setup, train=train, validation=own, test=None))
        scores = sample_scores(setup, task, run.model, held, EVERYTHING)
    except UnstuckError as error:
        return Judged(np.empty(0), np.empty(0), problem=str(error))
    return Judged(scores.losses, scores.errors, run.record.epoch_losses(), run.validation_losses)


def judge_all(
    wanted: Sequence[tuple[Setup, int]], rounds: Rounds, task: Task | None, jobs: int
) -> tuple[list[Judged], str]:
    """Judge several candidates, each in one round.

    Args:
        wanted: Set-ups with the number of the round.
        rounds: The rounds.
        task: The task.
        jobs: Processes; joblib's active back end is used where it is more than one.

    Returns:
        What came of each, and why processes could not be used, or "".
    """
    work = [(setup, *rounds.parts(setup, number), task) for setup, number in wanted]
    if jobs > 1 and len(work) > 1:
        from joblib import Parallel, delayed

        try:
            found: list[Judged] = Parallel(n_jobs=jobs)(delayed(judge)(*one) for one in work)
            return found, ""
        except (pickle.PicklingError, TypeError, AttributeError, OSError, RuntimeError) as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
            note = f"it was trained in one process, for the candidates could not be sent to others ({reason})"
            return [judge(*one) for one in work], note
    return [judge(*one) for one in work], ""
