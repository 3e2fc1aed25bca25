"""Labels that learners which have not seen them confidently contradict."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np
from torch import Tensor

from unstuck.measure.best_constant import BestConstant
from unstuck.measure.features import Features, Table, inputs_of
from unstuck.measure.learners import MOST_CLASSES, Predict, Whole, logistic, quietly, spread_over
from unstuck.measure.preparation import Prepared
from unstuck.measure.protocol import NotMeasurable, Unmeasured
from unstuck.measure.scores import FinalScores
from unstuck.measure.task import Kind, Task
from unstuck.setup import StackedData
from unstuck.setup.randomness import isolated, one_thread

FOLDS: Final = 4
MOST: Final = 6000
"""Training samples up to which every one is judged."""

FEWEST: Final = 60
"""Training samples below which a fold leaves too few to learn from."""

SUREST: Final = 3
"""The surest third of the answers is looked at apart."""

GOOD: Final = 0.1
"""Error and loss of the run on held-out samples, over the best constant's, below which right labels could not gain what
matters."""

SHOWN: Final = 24
"""Suspects of which label and answer are kept."""

LANDMARKS: Final = 200
"""Training samples that the kernel of the kernel machine is spanned by (Williams & Seeger 2001)."""

TREES: Final = 50
"""Of the random forest."""

Learner = Callable[[Table, Whole, int], Predict]


def kernel_machine(table: Table, labels: Whole, classes: int) -> Predict:
    """Logistic regression in the space of a Gaussian kernel: smooth, so that single wrong labels do not bend it."""
    from sklearn.kernel_approximation import Nystroem

    way = Nystroem(gamma=1.0 / table.shape[1], n_components=min(LANDMARKS, len(table)), random_state=0).fit(table)
    predict = logistic(way.transform(table), labels, classes)
    return lambda asked: predict(way.transform(asked))


def forest(table: Table, labels: Whole, classes: int) -> Predict:
    """A random forest: it passes over features that tell nothing."""
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(TREES, min_samples_leaf=3, random_state=0).fit(table, labels)
    return spread_over(model.predict_proba, model.classes_, classes, len(labels))


LEARNERS: Final[tuple[tuple[str, Learner], ...]] = (
    ("logistic regression", logistic),
    ("a kernel machine", kernel_machine),
    ("a random forest", forest),
)


@final
@dataclass(frozen=True, slots=True)
class LabelNoise:
    """Out-of-fold answers against the labels of the training split.

    Attributes:
        samples: Number of training samples; 0 where the run does so well that they were not looked at.
        left: Share of the best constant's error that the run as given leaves on held-out samples, or of its loss where
            that is more.
        learner: Whose answers they are: the best of three.
        accuracy: Share of its out-of-fold answers that agree with the label.
        most_frequent: Share of the most frequent label.
        surest: Number of its surest answers, a third of all.
        surest_wrong: How many of those contradict the label.
        suspects: Samples whose label is contradicted confidently, by number, the surest first (Northcutt, Jiang &
            Chuang, "Confident learning", JAIR 70, 2021: probability of another class no smaller than its mean over the
            samples that have that class).
        answers: The label and the answer that contradicts it, of the first of `suspects`.
    """

    cost: ClassVar[float] = 1.5

    samples: int
    left: float
    learner: str
    accuracy: float
    most_frequent: float
    surest: int
    surest_wrong: int
    suspects: tuple[int, ...]
    answers: tuple[tuple[int, int], ...] = ()

    @classmethod
    def measure(
        cls, prepared: Prepared, task: Task, final_scores: FinalScores, constant: BestConstant | Unmeasured
    ) -> LabelNoise:
        """Cross-validate learners that are not the user's model.

        Args:
            prepared: The set-up with its splits.
            task: The task.
            final_scores: Of the run as given.
            constant: The best constant prediction: what wrong labels cost is often confidence alone.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If targets are no classes, or the samples cannot be singled out.
        """
        left = final_scores.scores.held_out.error
        if task.kind not in (Kind.CLASSES, Kind.BINARY) or task.per_position:
            raise NotMeasurable("only classes, one a sample, can be contradicted")
        if isinstance(constant, BestConstant) and constant.held_out_loss > 0.0:
            left = max(left, final_scores.scores.held_out.loss / constant.held_out_loss)
        if left < GOOD:
            return cls(0, left, "", 1.0, 0.0, 0, 0, ())
        data = prepared.setup.train
        if not isinstance(data, StackedData) or not FEWEST <= data.size <= MOST:
            raise NotMeasurable(f"{FEWEST} to {MOST} training samples must be held in memory to be judged one by one")
        labels, classes = _labels(task, prepared.setup.targets(data.samples))
        inputs = inputs_of([data.samples])
        if len(labels) != data.size or any(len(part) != data.size for part in inputs):
            raise NotMeasurable("inputs and targets must have a row a sample")
        if not 2 <= classes <= MOST_CLASSES:
            raise NotMeasurable(f"answers for each of {classes} classes take too long")
        with isolated(0), one_thread(), quietly():
            table = Features.fit(inputs).table(inputs)
            found = {name: out_of_fold(learner, table, labels, classes) for name, learner in LEARNERS}
        learner = max(found, key=lambda name: float(found[name][np.arange(len(labels)), labels].mean()))
        chances = np.exp(found[learner])
        wrong = chances.argmax(1) != labels
        order = np.argsort(-chances.max(1), kind="stable")[: math.ceil(len(labels) / SUREST)]
        suspects = [int(row) for row in contradicted(chances, labels)]
        return cls(
            samples=len(labels),
            left=left,
            learner=learner,
            accuracy=1.0 - float(wrong.mean()),
            most_frequent=float(np.bincount(labels).max() / len(labels)),
            surest=len(order),
            surest_wrong=int(wrong[order].sum()),
            suspects=tuple(suspects),
            answers=tuple((int(labels[row]), int(chances[row].argmax())) for row in suspects[:SHOWN]),
        )


def out_of_fold(learner: Learner, table: Table, labels: Whole, classes: int) -> Table:
    """Log-probabilities of each sample, from a learner that was trained on the other folds.

    Args:
        learner: Fits.
        table: Features, `[N, D]`.
        labels: Class numbers, `[N]`.
        classes: How many there are, seen or not.

    Returns:
        Shape `[N, classes]`.
    """
    said = np.zeros((len(labels), classes))
    fold = np.random.default_rng(0).permutation(len(labels)) % FOLDS
    for number in range(FOLDS):
        rest = fold != number
        said[~rest] = learner(table[rest], labels[rest], classes)(table[~rest])
    return said


def contradicted(chances: Table, labels: Whole) -> Any:
    """Samples whose label is contradicted confidently, the surest first.

    Args:
        chances: Out-of-fold probabilities, `[N, classes]`.
        labels: As given, `[N]`.

    Returns:
        Their numbers.
    """
    classes = chances.shape[1]
    usual = np.array([chances[labels == k, k].mean() if (labels == k).any() else np.inf for k in range(classes)])
    confident = np.where(chances >= usual, chances, -1.0)
    other, rows = confident.argmax(1), np.arange(len(labels))
    suspected = np.flatnonzero((confident[rows, other] >= 0.0) & (other != labels))
    margin = chances[suspected, labels[suspected]] - chances[suspected, other[suspected]]
    return suspected[np.argsort(margin, kind="stable")]


def _labels(task: Task, targets: Any) -> tuple[Whole, int]:
    if not isinstance(targets, Tensor):
        raise NotMeasurable("targets must be one tensor")
    wanted = targets.detach().cpu()
    if task.one_hot:
        wanted = wanted.argmax(1)
    labels = wanted.reshape(len(wanted), -1)[:, 0].long().numpy()
    if labels.min() < 0 or labels.max() >= task.classes:
        raise NotMeasurable("a class number is out of range")
    return labels, task.classes
