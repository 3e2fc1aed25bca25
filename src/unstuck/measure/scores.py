"""How a trained model does on every split, by the loss of the set-up as given and by the task's own error."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from typing import ClassVar, Final, final

import numpy as np
from torch import nn

from unstuck.edits.losses import OUTPUT_FORM
from unstuck.loop import Run, predict, score_of
from unstuck.loop.evaluate import SAMPLES
from unstuck.measure.loss_form import OutputForm
from unstuck.measure.metric import balanced_error, error_on, joined
from unstuck.measure.preparation import Prepared, Trained
from unstuck.measure.protocol import Unmeasured
from unstuck.measure.sample_scores import sample_scores
from unstuck.measure.task import Task
from unstuck.setup import Data, Setup
from unstuck.setup.randomness import isolated, one_thread

FEWEST: Final = 2
"""Samples that have a spread."""


@final
@dataclass(frozen=True, slots=True)
class SplitScore:
    """How a model does on one split.

    Attributes:
        loss: Mean loss, by the loss of the set-up as given; infinite where it is not finite.
        standard_error: Of `loss`, from the spread over batches.
        error: The task's own error (1 for the best constant prediction); NaN where it cannot be told.
        samples: Number of samples looked at.
        balanced_error: The same of each class, on average (1 for a constant prediction); NaN where it cannot be told.
    """

    loss: float
    standard_error: float
    error: float
    samples: int
    balanced_error: float = math.nan


@final
@dataclass(frozen=True, slots=True)
class Scores:
    """How one model does on the splits.

    Attributes:
        training: On the training split; that of a run is of its last weights where earlier ones were kept.
        held_out: On the held-out part of the training distribution.
        test: On the test split, where there is one.
    """

    training: SplitScore
    held_out: SplitScore
    test: SplitScore | None


def split_score(given: Setup, task: Task | None, trained: Setup, model: nn.Module, data: Data) -> SplitScore:
    """Score a model on a split.

    Args:
        given: The set-up whose loss is the yardstick.
        task: The task, where it is known.
        trained: The set-up that the model was trained by, which knows how to call it.
        model: The model.
        data: The split.

    Returns:
        The score.
    """
    with one_thread():
        batches = data.head(SAMPLES)
        outputs = predict(trained, model, batches)
        score = score_of(given, outputs, batches)
    error = balanced = math.nan
    if task is not None:
        task = as_answered(task, trained)
        error = error_on(given, task, outputs, batches)
        balanced = balanced_error(task, joined(outputs), joined([given.targets(batch) for batch in batches]))
    loss = score.loss if math.isfinite(score.loss) or given.loss is None else math.inf
    return SplitScore(loss, score.standard_error, error, score.samples, balanced)


def as_answered(task: Task, trained: Setup) -> Task:
    """The task with the form of outputs that a change of the loss has brought along."""
    form = trained.described.get(OUTPUT_FORM)
    return task if form is None else replace(task, output_form=OutputForm(form))


def scores_of(prepared: Prepared, task: Task | None, trained: Setup, model: nn.Module) -> Scores:
    """Score a model on all splits of the set-up that it was trained by.

    Args:
        prepared: The yardstick: whose loss is meant, and what is held out where `trained` has no validation split.
        task: The task, where it is known; else there is no error.
        trained: The set-up that the model was trained by, which knows how its data and outputs were changed.
        model: As trained.

    Returns:
        The scores.
    """
    test = trained.test
    held_out = prepared.held_out if trained.validation is None else trained.validation
    return Scores(
        training=split_score(prepared.setup, task, trained, model, trained.train),
        held_out=split_score(prepared.setup, task, trained, model, held_out),
        test=None if test is None else split_score(prepared.setup, task, trained, model, test),
    )


def scores_of_run(prepared: Prepared, task: Task | None, trained: Setup, run: Run) -> Scores:
    """Score a run: its model, and how low it came on the training split where the best epoch's weights were kept.

    Those are kept for their held-out loss. That their training loss is large does not say that the optimizer could
    not bring it down, and hides a gap.

    Args:
        prepared: As in `scores_of`.
        task: Likewise.
        trained: Likewise.
        run: The run.

    Returns:
        The scores.
    """
    scores = scores_of(prepared, task, trained, run.model)
    if run.ended is None:
        return scores
    last = copy.deepcopy(run.model)
    last.load_state_dict(run.ended)
    ended = split_score(prepared.setup, task, trained, last, trained.train)
    return replace(scores, training=ended) if ended.loss < scores.training.loss else scores


def _over_samples(score: SplitScore, setup: Setup, model: nn.Module, data: Data) -> SplitScore:
    """The score with its error over samples: a small split has two or three batches, whose spread tells little."""
    single = sample_scores(setup, None, model, data)
    if not single.by_sample or len(single.losses) < FEWEST or not np.isfinite(single.losses).all():
        return score
    return replace(score, standard_error=float(single.losses.std(ddof=1)) / math.sqrt(len(single.losses)))


@final
@dataclass(frozen=True, slots=True)
class FinalScores:
    """The scores of the run as given, and those before any training.

    Attributes:
        scores: After training; the standard error of the test loss is over samples where the loss is their mean.
        initial: Before training, on the training split.
    """

    cost: ClassVar[float] = 0.1

    scores: Scores
    initial: SplitScore

    @classmethod
    def measure(cls, prepared: Prepared, trained: Trained, task: Task | Unmeasured) -> FinalScores:
        """Score the trained model and a fresh one."""
        known = None if isinstance(task, Unmeasured) else task
        setup = prepared.setup
        with isolated(setup.seed), one_thread():
            fresh, _ = setup.build()
        scores = scores_of_run(prepared, known, setup, trained.run)
        if scores.test is not None and setup.test is not None:
            scores = replace(scores, test=_over_samples(scores.test, setup, trained.run.model, setup.test))
        return cls(
            scores=scores,
            initial=split_score(setup, known, setup, fresh, setup.train),
        )
