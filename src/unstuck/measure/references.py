"""Reference learners: what others reach on the same data, with neither the user's model nor their recipe."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np
import torch

from unstuck.measure.features import Table
from unstuck.measure.learners import Predict, quietly
from unstuck.measure.preparation import Prepared
from unstuck.measure.problem import Problem
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.small_net import answers_of, train_small_net
from unstuck.measure.tables import Answer, Tables, fit_boosting, fit_linear
from unstuck.measure.task import Kind, Task
from unstuck.setup.randomness import isolated, one_thread

SHUFFLES: Final = 19
"""Shuffles of the targets: the least of them is then passed by chance once in twenty times."""


@final
@dataclass(frozen=True, slots=True)
class Reference:
    """How far one learner gets. What cannot be told is None.

    Attributes:
        name: Such as "logistic regression".
        kind: "linear", "boosting" or "net".
        training_loss: The set-up's own loss on the training split, comparable with `evaluate`.
        held_out_loss: On the held-out split.
        test_loss: On the test split, where there is one.
        training_error: The task's error on the training split; 1 for the best constant prediction.
        held_out_error: On the held-out split.
        test_error: On the test split.
        held_out_standard_error: Of `held_out_loss`, from the spread over batches.
        held_out_error_standard_error: Of `held_out_error`, from the spread over samples.
        seconds: Wall time of learning and answering.
    """

    name: str
    kind: str
    training_loss: float | None
    held_out_loss: float | None
    test_loss: float | None
    training_error: float | None
    held_out_error: float | None
    test_error: float | None
    held_out_standard_error: float | None
    held_out_error_standard_error: float | None
    seconds: float


@final
@dataclass(frozen=True, slots=True)
class LinearReference:
    """Logistic or ridge regression on the flattened, standardised inputs.

    Attributes:
        reference: How far it gets.
    """

    cost: ClassVar[float] = 0.2

    reference: Reference

    @classmethod
    def measure(cls, prepared: Prepared, task: Task) -> LinearReference:
        """Fit it on the training split."""
        return cls(_fitted(prepared, task, _linear_name(task), "linear", fit_linear))


@final
@dataclass(frozen=True, slots=True)
class BoostingReference:
    """Gradient-boosted trees on the flattened inputs.

    Attributes:
        reference: How far it gets.
    """

    cost: ClassVar[float] = 0.5

    reference: Reference

    @classmethod
    def measure(cls, prepared: Prepared, task: Task) -> BoostingReference:
        """Fit it on at most 1500 samples of the training split."""
        return cls(_fitted(prepared, task, "gradient boosting", "boosting", fit_boosting))


@final
@dataclass(frozen=True, slots=True)
class SmallNetReference:
    """A small, robustly trained network that fits the kind of input.

    Attributes:
        reference: How far it gets.
    """

    cost: ClassVar[float] = 1.0

    reference: Reference

    @classmethod
    def measure(cls, prepared: Prepared, task: Task) -> SmallNetReference:
        """Train it on the training split, stopped early on a part of it."""
        problem = Problem.of(prepared, task)
        start = time.perf_counter()
        with isolated(0), one_thread():
            torch.set_default_dtype(torch.float32)
            torch.set_grad_enabled(True)
            name, net = train_small_net(problem)
            return cls(_reference(problem, name, "net", lambda split: answers_of(net, problem, split), start))


@final
@dataclass(frozen=True, slots=True)
class References:
    """All reference learners that could be put to the task.

    Attributes:
        references: At least one.
        missing: Why each of the others could not.
    """

    cost: ClassVar[float] = 0.0

    references: tuple[Reference, ...]
    missing: tuple[str, ...]

    @classmethod
    def measure(
        cls,
        linear: Callable[[], LinearReference],
        boosting: Callable[[], BoostingReference],
        net: Callable[[], SmallNetReference],
    ) -> References:
        """Gather them.

        Args:
            linear: The linear one.
            boosting: The boosted trees.
            net: The small network.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If there is none.
        """
        found, missing = [], []
        learners: tuple[Callable[[], LinearReference | BoostingReference | SmallNetReference], ...]
        learners = (linear, boosting, net)
        for learner in learners:
            try:
                found.append(learner().reference)
            except NotMeasurable as reason:
                missing.append(str(reason))
        if not found:
            raise NotMeasurable(missing[0])
        return cls(tuple(found), tuple(missing))

    @property
    def best(self) -> Reference:
        """The one with the lowest held-out error."""
        errors = [np.inf if one.held_out_error is None else one.held_out_error for one in self.references]
        return self.references[int(np.argmin(errors))]


@final
@dataclass(frozen=True, slots=True)
class ShuffledControl:
    """The same learners on shuffled training targets: what they reach where there is no signal.

    Attributes:
        null_held_out_errors: Held-out error of the linear learner, one a shuffle.
        references: The linear learner and, where it can be had, boosting, on the first shuffle.
    """

    cost: ClassVar[float] = 2.0

    null_held_out_errors: tuple[float, ...]
    references: tuple[Reference, ...]

    @classmethod
    def measure(cls, prepared: Prepared, task: Task) -> ShuffledControl:
        """Shuffle and fit.

        Args:
            prepared: The set-up with its splits.
            task: The task.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If a learner cannot be put to this task.
        """
        problem = Problem.of(prepared, task)
        found: list[Reference] = []
        with isolated(0), one_thread(), quietly():
            table, generator = Tables(problem), np.random.default_rng(0)
            shuffled = [table.wanted[generator.permutation(len(table.wanted))] for _ in range(SHUFFLES)]
            errors = []
            for number, wanted in enumerate(shuffled):
                start = time.perf_counter()
                answer = table.answer(fit_linear(problem, table.train, wanted))
                if number == 0:
                    found.append(_reference(problem, _linear_name(task), "linear", answer, start))
                errors.append(problem.score(problem.held_out, answer(problem.held_out)).error)
            try:
                start = time.perf_counter()
                answer = table.answer(fit_boosting(problem, table.train, shuffled[0]))
                found.append(_reference(problem, "gradient boosting", "boosting", answer, start))
            except NotMeasurable:
                pass
        return cls(tuple(error for error in errors if error is not None), tuple(found))


def _linear_name(task: Task) -> str:
    return "ridge regression" if task.kind is Kind.VALUES else "logistic regression"


def _fitted(
    prepared: Prepared, task: Task, name: str, kind: str, fit: Callable[[Problem, Table, Table], Predict]
) -> Reference:
    """Fit a learner of tables to the training split, and score it on every split."""
    problem = Problem.of(prepared, task)
    start = time.perf_counter()
    with isolated(0), one_thread(), quietly():
        table = Tables(problem)
        answer = table.answer(fit(problem, table.train, table.wanted))
        return _reference(problem, name, kind, answer, start)


def _reference(problem: Problem, name: str, kind: str, answer: Answer, start: float) -> Reference:
    training = problem.score(problem.train, answer(problem.train))
    held_out = problem.score(problem.held_out, answer(problem.held_out))
    test = None if problem.test is None else problem.score(problem.test, answer(problem.test))
    return Reference(
        name,
        kind,
        training.loss,
        held_out.loss,
        None if test is None else test.loss,
        training.error,
        held_out.error,
        None if test is None else test.error,
        held_out.loss_standard_error,
        held_out.error_standard_error,
        time.perf_counter() - start,
    )
