"""A task as it is put to a learner that is not the user's model, and its answers in the user's own terms."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, final

import torch
from torch import Tensor

from unstuck.errors import UnstuckError
from unstuck.loop import score_of
from unstuck.loop.evaluate import SAMPLES
from unstuck.measure.features import inputs_of
from unstuck.measure.loss_form import OutputForm
from unstuck.measure.metric import task_error
from unstuck.measure.preparation import Prepared
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.task import Kind, Task
from unstuck.setup import Batch, Data, Setup
from unstuck.setup.batch import length, tensors

MOST_POSITIONS: Final = 60_000
"""Positions of a split that are predicted at most, where there is a target for each."""

CLIPPED: Final = 1e-6
"""Probabilities are kept this far from 0 and 1."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """The samples of a split that `evaluate` would look at.

    Attributes:
        batches: As given.
        inputs: Each input tensor, joined, `[N, …]`, on the CPU.
        targets: Joined, `[N, …]`, on the CPU.
    """

    batches: list[Batch]
    inputs: list[Tensor]
    targets: Tensor

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.targets)


@final
@dataclass(frozen=True, slots=True)
class Outcome:
    """How good answers to a split are; what cannot be told is None.

    Attributes:
        loss: The set-up's own loss.
        loss_standard_error: Of `loss`, from the spread over batches.
        error: The task's error.
        error_standard_error: Of `error`, from the spread over samples.
    """

    loss: float | None
    loss_standard_error: float | None
    error: float | None
    error_standard_error: float | None


@final
@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """What a learner is given.

    Attributes:
        setup: Gives the loss.
        task: The task.
        train: What it learns from.
        held_out: Samples of the same distribution.
        test: The test split, where there is one.
    """

    setup: Setup
    task: Task
    train: Split
    held_out: Split
    test: Split | None

    @classmethod
    def of(cls, prepared: Prepared, task: Task) -> Problem:
        """Read the splits.

        Args:
            prepared: The set-up with its splits.
            task: The task.

        Returns:
            The problem.

        Raises:
            NotMeasurable: If a learner cannot be put to this task.
        """
        setup = prepared.setup
        if task.kind is Kind.UNKNOWN:
            raise NotMeasurable("the task could not be told from its targets")
        limit = SAMPLES
        if task.per_position:
            if not positions_line_up(task):
                raise NotMeasurable("targets per position need outputs of shape [N, classes, positions]")
            limit = max(32, MOST_POSITIONS // max(1, math.prod(task.target_shape[1:])))
        train = _split(setup, setup.train, limit)
        if len(train) < 10:
            raise NotMeasurable(f"a reference learner needs 10 training samples; there are {len(train)}")
        test = None if setup.test is None else _split(setup, setup.test, limit)
        return cls(setup, task, train, _split(setup, prepared.held_out, limit), test)

    @property
    def positions(self) -> tuple[int, ...]:
        """Shape of the positions that each have a target; () where a sample has one answer."""
        return tuple(self.train.targets.shape[1:]) if self.task.per_position else ()

    def wanted(self, split: Split) -> Tensor:
        """What is to be learned.

        Returns:
            For classes whole numbers `[N, …]`, below 0 where there is nothing to learn; for yes/no and labels
            zeros and ones `[N, K]`; for numbers `[N, K]`.
        """
        targets = split.targets
        if self.task.kind is Kind.CLASSES:
            if self.task.one_hot:
                return targets.argmax(1)
            whole = targets.long().reshape(len(targets), *self.positions)
            return torch.where((whole >= 0) & (whole < self.task.classes), whole, -1)
        return targets.double().reshape(len(targets), -1)

    def score(self, split: Split, answers: Tensor) -> Outcome:
        """How good answers are.

        Args:
            split: What they answer.
            answers: Log-probabilities `[N, classes, …]`, logits `[N, K]` or numbers `[N, K]`.

        Returns:
            Loss and error.
        """
        error, spread = error_of(self.task, answers, split.targets)
        outputs = as_outputs(self.task, answers)
        if outputs is None:
            return Outcome(None, None, error, spread)
        doubled = any(tensor.dtype == torch.float64 for tensor in tensors(split.batches[0]))
        outputs = outputs.to(torch.float64 if doubled else torch.float32).to(self.setup.device)
        parts = list(outputs.split([length(batch) for batch in split.batches]))
        try:
            score = score_of(self.setup, parts, split.batches)
        except UnstuckError:
            return Outcome(None, None, error, spread)
        if not math.isfinite(score.loss):
            return Outcome(None, None, error, spread)
        return Outcome(score.loss, score.standard_error, error, spread)


def positions_line_up(task: Task) -> bool:
    """Whether outputs are `[N, classes, positions]` for targets `[N, positions]`."""
    return task.per_position and task.output_shape[2:] == task.target_shape[1:]


def _split(setup: Setup, data: Data, limit: int) -> Split:
    batches = data.head(limit)
    targets: list[Any] = [setup.targets(batch) for batch in batches]
    if not all(isinstance(target, Tensor) for target in targets):
        raise NotMeasurable("the targets must be tensors for a reference learner")
    try:
        joined, inputs = torch.cat([target.detach().cpu() for target in targets]), inputs_of(batches)
    except (RuntimeError, ValueError) as error:
        raise NotMeasurable(f"the batches cannot be joined: {' '.join(str(error).split())[:120]}") from error
    if not inputs or any(len(part) != len(joined) for part in inputs):
        raise NotMeasurable("a reference learner needs inputs and targets with one row a sample")
    return Split(batches, inputs, joined)


def as_outputs(task: Task, answers: Tensor) -> Tensor | None:
    """Answers as the outputs that the set-up's loss takes.

    Args:
        task: Says what the loss takes, and the shape.
        answers: As in `Problem.score`.

    Returns:
        The outputs, or None where the loss is not known or the shapes do not fit.
    """
    form = task.output_form
    if form in (OutputForm.UNKNOWN, OutputForm.NOTHING):
        return None
    if task.kind is Kind.VALUES:
        made = _IN_FORM[form](answers) if form in _IN_FORM else answers
    else:
        chances = answers.exp() if task.kind is Kind.CLASSES else answers.sigmoid()
        if form in (OutputForm.CLASS_LOGITS, OutputForm.CLASS_LOG_PROBABILITIES):
            made = answers
        elif form in (OutputForm.VALUES, OutputForm.CLASS_PROBABILITIES):
            made = chances
        else:
            made = _IN_FORM[form](chances)
    shape = tuple(answers.shape) if task.per_position else (len(answers), *task.output_shape[1:])
    return made.reshape(shape) if made.numel() == math.prod(shape) else None


def _inside(numbers: Tensor) -> Tensor:
    return numbers.clamp(CLIPPED, 1.0 - CLIPPED)


_IN_FORM: Final[dict[OutputForm, Callable[[Tensor], Tensor]]] = {
    OutputForm.PROBABILITIES: _inside,
    OutputForm.BINARY_LOGITS: lambda numbers: _inside(numbers).logit(),
    OutputForm.LOG_RATES: lambda numbers: numbers.clamp_min(CLIPPED).log(),
    OutputForm.RATES: lambda numbers: numbers.clamp_min(CLIPPED),
}


def error_of(task: Task, answers: Tensor, targets: Tensor) -> tuple[float | None, float | None]:
    """The task's error of answers, and its standard error from the spread over samples.

    Args:
        task: The task.
        answers: As in `Problem.score`.
        targets: Of the same samples.

    Returns:
        Both; None where they cannot be told.
    """
    answers = answers.double()
    outputs = answers
    if task.kind in (Kind.BINARY, Kind.LABELS):
        outputs = answers if task.output_form is OutputForm.BINARY_LOGITS else answers.sigmoid()
        wrong = (answers > 0.0) != (targets.reshape(answers.shape) > 0.5)
    elif task.kind is Kind.CLASSES:
        wrong = answers.argmax(1) != (targets.argmax(1) if task.one_hot else targets.reshape(answers[:, 0].shape))
    else:
        task = replace(task, output_form=OutputForm.VALUES)  # the answers are the numbers themselves
        wrong = (answers - targets.double().reshape(answers.shape)).square()
    error = task_error(task, outputs, targets)
    if not math.isfinite(error):
        return None, None
    each = wrong.double().reshape(len(answers), -1).mean(1)
    mean = float(each.mean())
    if mean <= 0.0:
        return error, 0.0
    return error, None if len(each) < 2 else error * float(each.std()) / (mean * math.sqrt(len(each)))
