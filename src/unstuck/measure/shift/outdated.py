"""Where what the run has learnt no longer holds: inputs answered rightly in training, wrongly in the test data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np
import torch
from torch import Tensor

from unstuck.measure.features import Features, Table, inputs_of
from unstuck.measure.learners import Whole, quietly
from unstuck.measure.preparation import Prepared, Trained
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.sample_scores import sample_scores
from unstuck.measure.shift.concept import COMMON, FEWEST, FOLDS, REMEMBERED, SIDE
from unstuck.measure.shift.drift import CHANCE
from unstuck.measure.shift.test_data import TestGap
from unstuck.measure.table_learners import require_one_target, wanted_of
from unstuck.measure.task import Kind, Task
from unstuck.setup import Data, StackedData
from unstuck.setup.randomness import isolated, one_thread

USUAL: Final = 0.9
"""Quantile of the held-out squared errors beyond which an answer in numbers counts as wrong."""

MOST: Final = 0.5
"""Share of the test samples of the region that are answered wrongly: the majority."""

RARER: Final = 0.5
"""Part of that share up to which held-out samples of the region may be answered wrongly."""

SINGLE: Final = 5
"""Right and wrong answers, of each, without which nothing tells the two apart."""


@final
@dataclass(frozen=True, slots=True)
class OutdatedAnswers:
    """A region of inputs that the run answers wrongly in the test data, and how it does there on held-out samples.

    Whether the run is wrong is told from the test inputs by a learner of few parameters, each sample by one that has
    not seen it. Far fewer samples show that than it takes to learn the new targets: the run is all that is known of
    the old ones. In held-out samples classes are weighted to their shares in the test data.

    Attributes:
        test_share: Share of the test samples in the region.
        held_out_share: Share of the held-out samples in it.
        wrong: Share of these test samples that the run answers wrongly.
        held_out_wrong: Share of these held-out samples.
        p_value: Of so many more wrong answers by chance (Fisher's exact test, 1935).
        learner: What told the region.
    """

    cost: ClassVar[float] = 0.2

    test_share: float
    held_out_share: float
    wrong: float
    held_out_wrong: float
    p_value: float
    learner: str

    @property
    def shown(self) -> bool:
        """Whether the same inputs are answered wrongly in the test data only, beyond chance."""
        common = self.held_out_share >= COMMON * self.test_share > 0.0
        apart = self.wrong >= MOST and self.held_out_wrong <= RARER * self.wrong
        return common and apart and self.p_value <= CHANCE.value

    @classmethod
    def measure(cls, prepared: Prepared, trained: Trained, task: Task, gap: TestGap) -> OutdatedAnswers:
        """Tell the region from the test samples, and ask about the held-out samples in it.

        Args:
            prepared: The set-up with its splits.
            trained: The run as given.
            task: The task.
            gap: Of the test loss.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If the test loss is as low as the held-out loss, or there are no or too few labels.
        """
        setup = prepared.setup
        if not gap.labelled or not gap.large:
            raise NotMeasurable("the test loss is as low as the held-out loss, or is not known")
        if setup.test is None or prepared.held_out is setup.train:
            raise NotMeasurable("there are no held-out samples to compare with")
        require_one_target(task)
        with isolated(0), one_thread(), quietly():
            features = Features.fit(inputs_of(setup.train.head(SIDE)))
            limit = _limit(prepared, trained, task)
            test, held_out = (_wrong(prepared, trained, task, data, limit) for data in (setup.test, prepared.held_out))
            if len(test) < FEWEST:
                raise NotMeasurable(f"at least {FEWEST} test samples are needed")
            tables = [features.table(inputs_of(data.head(SIDE))) for data in (setup.test, prepared.held_out)]
            region = _told(tables[0], test)
            weights = np.ones(len(held_out))
            if task.kind is not Kind.VALUES:
                weights = _weights(*(_classes(prepared, task, data) for data in (setup.train, setup.test)))[
                    _classes(prepared, task, prepared.held_out)
                ]
        theirs, ours = region.own, region.tell(tables[1])
        seen, known = test[theirs], held_out[ours]
        counted = weights[ours]
        total = float(counted.sum())
        rate = float((counted * known).sum()) / total if total else 0.0
        size = round(total**2 / float((counted**2).sum())) if total else 0
        return cls(
            test_share=float(theirs.mean()),
            held_out_share=float(ours.mean()),
            wrong=float(seen.mean()) if len(seen) else 0.0,
            held_out_wrong=rate,
            p_value=_chance(int(seen.sum()), len(seen), round(rate * size), size),
            learner=region.learner,
        )


def still_right(prepared: Prepared, trained: Trained, task: Task, known: StackedData, asked: StackedData) -> Tensor:
    """Which samples lie where the run's answers still hold, told from labelled test samples.

    Args:
        prepared: The set-up with its splits.
        trained: The run as given.
        task: The task.
        known: Labelled test samples.
        asked: Samples of the training distribution.

    Returns:
        One truth value a sample of `asked`, `[N]`.

    Raises:
        NotMeasurable: If too few of the answers to `known` are right, or wrong.
    """
    require_one_target(task)
    with isolated(0), one_thread(), quietly():
        features = Features.fit(inputs_of([asked.samples]))
        wrong = _wrong(prepared, trained, task, known, _limit(prepared, trained, task))
        region = _told(features.table(inputs_of(known.head(SIDE))), wrong)
        return torch.as_tensor(~region.tell(features.table(inputs_of([asked.samples]))))


@final
@dataclass(frozen=True, slots=True, eq=False)
class _Region:
    learner: str
    own: Any
    """Whether each of the samples that it was told from lies in it, by a learner that has not seen it."""
    tell: Callable[[Table], Any]


def _told(table: Table, wrong: Any) -> _Region:
    """Where the answers are more often wrong than right, by the learner that tells it best."""
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if min(int(wrong.sum()), int((~wrong).sum())) < SINGLE:
        everything = bool(wrong.mean() >= MOST)
        return _Region("", np.full(len(wrong), everything), lambda asked: np.full(len(asked), everything))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    learners: dict[str, Any] = {
        "linear": make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=200)),
        "trees": ExtraTreesClassifier(60, min_samples_leaf=2, random_state=0),
    }
    said = {name: cross_val_predict(model, table, wrong, cv=folds) for name, model in learners.items()}
    best = max(said, key=lambda name: float((said[name] == wrong).mean()))
    fitted = learners[best].fit(table, wrong)
    return _Region(best, said[best], lambda asked: np.asarray(fitted.predict(asked)))


def _limit(prepared: Prepared, trained: Trained, task: Task) -> float:
    """The error of a sample beyond which its answer is wrong."""
    if task.kind is not Kind.VALUES:
        return 0.5
    return float(np.quantile(_errors(prepared, trained, task, prepared.held_out), USUAL))


def _wrong(prepared: Prepared, trained: Trained, task: Task, data: Data, limit: float) -> Any:
    return _errors(prepared, trained, task, data) > limit


def _errors(prepared: Prepared, trained: Trained, task: Task, data: Data) -> Any:
    found = sample_scores(prepared.setup, task, trained.run.model, data, SIDE).errors
    if not found.size:
        raise NotMeasurable("the task's error cannot be told sample by sample")
    return found


def _classes(prepared: Prepared, task: Task, data: Data) -> Whole:
    targets = [prepared.setup.targets(batch) for batch in data.head(SIDE)]
    return np.asarray(wanted_of(task, torch.cat(targets).cpu().numpy()))


def _weights(training: Whole, test: Whole) -> Table:
    """Share of each class in the test data over that in training, `[C]`; no class is forgotten altogether."""
    count = int(max(training.max(), test.max())) + 1
    ours, theirs = (np.bincount(part, minlength=count) / len(part) for part in (training, test))
    return np.maximum(theirs, REMEMBERED * ours) / np.maximum(ours, 1e-12)


def _chance(wrong: int, count: int, known_wrong: int, known: int) -> float:
    from scipy.stats import fisher_exact

    table = np.array([[wrong, count - wrong], [known_wrong, known - known_wrong]])
    return float(fisher_exact(table, alternative="greater").pvalue)
