"""The gap between training and test, split exactly: what is overfitting, what the validation split, what a mismatch.

Training → held-out part of the training distribution → the user's validation → test: each step is the difference of
two neighbours, so that the steps add up to the whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Final, final

import numpy as np

from unstuck.loop import Run, fit
from unstuck.measure.preparation import FEWEST_HELD_OUT, HELD_OUT_SHARE, Allowance, Prepared, Trained
from unstuck.measure.protocol import NotMeasurable, Unmeasured
from unstuck.measure.sample_scores import SampleScores, sample_scores, unlabelled
from unstuck.measure.step_interval import difference, difference_of_shares
from unstuck.measure.task import Kind, Task
from unstuck.quantity import Quantity
from unstuck.setup import Data, Setup

SEEDS: Final = 3
"""Runs where their time allows: the fewest whose spread has a useful interval (Student's t with 2 degrees)."""

SHARE: Final = 1 / 3
"""Of the time that one run may take, so that most of the examination is left for trials."""

TRAINING: Final = "training"
HELD_OUT: Final = "held-out part of training"
VALIDATION: Final = "validation"
TEST: Final = "test"

MEANING: Final = {
    (TRAINING, HELD_OUT): "overfitting: more data or less freedom would close it",
    (TRAINING, VALIDATION): "overfitting, and whatever sets the validation split apart",
    (HELD_OUT, VALIDATION): "the validation split: another distribution, or chosen by",
    (HELD_OUT, TEST): "mismatch: the test data come from elsewhere",
    (VALIDATION, TEST): "mismatch: the test data come from elsewhere",
    (TRAINING, TEST): "overfitting and mismatch, not told apart",
}


@final
@dataclass(frozen=True, slots=True)
class Part:
    """One split of the way.

    Attributes:
        name: TRAINING, HELD_OUT, VALIDATION or TEST.
        loss: The user's loss, mean over seeds; NaN without a loss.
        error: Share of wrong answers, or squared error over the variance of the targets; NaN where not known.
        samples: Samples looked at.
    """

    name: str
    loss: float
    error: float
    samples: int


@final
@dataclass(frozen=True, slots=True)
class Step:
    """From one split to the next.

    Attributes:
        lower: The split that it starts from.
        upper: The split that it leads to.
        loss: How much larger the loss is there, with its interval over samples and seeds.
        error: Likewise of the task's error.
        meaning: What such a step is.
    """

    lower: str
    upper: str
    loss: Quantity
    error: Quantity
    meaning: str


@final
@dataclass(frozen=True, slots=True)
class GapSplit:
    """The gap in its steps.

    Attributes:
        parts: The splits, in order.
        steps: One between each two neighbours; they add up.
        metric: What `error` is.
        seeds: Runs that it rests on.
        untold: What could not be told, and without which data.
    """

    cost: ClassVar[float] = 3.0

    parts: tuple[Part, ...]
    steps: tuple[Step, ...]
    metric: str
    seeds: int
    untold: tuple[str, ...]

    @classmethod
    def measure(cls, prepared: Prepared, trained: Trained, task: Task | Unmeasured, allowance: Allowance) -> GapSplit:
        """Train on all of the training split but a part, from several seeds, and score every split.

        The user's validation split is never taken for the held-out part: it may come from elsewhere, and models may
        have been chosen by it. The part is the same for every seed.

        Args:
            prepared: The set-up with its splits.
            trained: The run as given.
            task: The task.
            allowance: How long runs may take.

        Returns:
            The split.

        Raises:
            NotMeasurable: If nothing but the training split is there to score.
        """
        known = None if isinstance(task, Unmeasured) else task
        setup, held_out, untold = _carved(prepared)
        given = prepared.carved or held_out is None
        runs = _runs(setup, trained.run if given else None, trained.run, allowance.run_seconds)
        splits: list[tuple[str, Data]] = [(TRAINING, setup.train)]
        if held_out is not None:
            splits.append((HELD_OUT, held_out))
        for name, data in ((VALIDATION, None if prepared.carved else setup.validation), (TEST, setup.test)):
            if data is None or data is setup.train:
                untold.append(_without(name))
            elif unlabelled(setup, known, data):
                untold.append(f"the step to the {name} data: they have no labels; label some of them")
            else:
                splits.append((name, data))
        if len(splits) < 2:
            raise NotMeasurable("there is nothing but the training split, and it is too small to hold a part out")
        return split_of(setup, known, runs, splits, tuple(untold))


def split_of(
    setup: Setup, task: Task | None, runs: list[Run], splits: list[tuple[str, Data]], untold: tuple[str, ...] = ()
) -> GapSplit:
    """Score every run on every split and take the steps.

    Args:
        setup: Gives the loss.
        task: The task, where it is known.
        runs: One a seed.
        splits: Name and data, in order; the first is what was trained on.
        untold: What is known not to be told.

    Returns:
        The split.
    """
    scored = [(name, [sample_scores(setup, task, run.model, data) for run in runs]) for name, data in splits]
    shares = task is not None and task.kind is not Kind.VALUES
    unit = 1.0 if shares else _variance(setup, splits[0][1])
    parts = tuple(
        Part(name, _mean([one.losses for one in each]), _mean([one.errors for one in each]) / unit, each[0].samples)
        for name, each in scored
    )
    steps = tuple(_step(*pair, shares, unit) for pair in zip(scored, scored[1:], strict=False))
    metric = "share of wrong answers" if shares else "squared error / variance of the training targets"
    return GapSplit(parts, steps, metric if task is not None else "", len(runs), untold)


def _carved(prepared: Prepared) -> tuple[Setup, Data | None, list[str]]:
    """The set-up to train, and the part of its training split that it does not see."""
    if prepared.carved:
        return prepared.setup, prepared.held_out, []
    size = prepared.setup.train.size
    if size is not None and HELD_OUT_SHARE * size < FEWEST_HELD_OUT:
        why = f"how much is overfitting: the training split is too small to hold a part out ({size} samples)"
        return prepared.setup, None, [why]
    train, held_out = prepared.setup.train.split(HELD_OUT_SHARE, prepared.setup.seed)
    return replace(prepared.setup, train=train), held_out, []


def _runs(setup: Setup, first: Run | None, given: Run, seconds: float) -> list[Run]:
    """As many runs as fit into a part of the time that one may take, three at most; as long as the run as given."""
    affordable = int(SHARE * seconds / max(given.record.seconds, 1e-3)) + (first is not None)
    steps = len(given.losses) if given.record.stopped == "time" else None
    runs = [] if first is None else [first]
    for number in range(len(runs), max(1, min(SEEDS, affordable))):
        runs.append(fit(setup, seed=setup.seed + number, steps=steps))
    return runs


def _without(name: str) -> str:
    if name == TEST:
        return "the step to the test data, which would be mismatch: no test data were given"
    return "whether the validation split is like the training data: no validation split was given"


def _mean(parts: list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]) -> float:
    return float(np.mean([part.mean() for part in parts])) if all(part.size for part in parts) else float("nan")


def _variance(setup: Setup, train: Data) -> float:
    """Variance of the training targets; 1 where they have none."""
    targets = [setup.targets(batch) for batch in train.head(2000)]
    try:
        joined = np.concatenate([np.asarray(part.detach().cpu().double()).reshape(len(part), -1) for part in targets])
    except (AttributeError, TypeError, ValueError):
        return 1.0
    return float(((joined - joined.mean(0)) ** 2).mean()) or 1.0


def _step(
    lower: tuple[str, list[SampleScores]], upper: tuple[str, list[SampleScores]], shares: bool, unit: float
) -> Step:
    name, other = lower[0], upper[0]
    losses = [np.stack([one.losses for one in split]) for split in (upper[1], lower[1])]
    errors = [np.stack([one.errors for one in split]) for split in (upper[1], lower[1])]
    left = _left(name, lower[1][0])
    loss, loss_interval = difference(losses[0], losses[1], 1.0, left)
    way = difference_of_shares if shares else difference
    error, interval = way(errors[0] / unit, errors[1] / unit, 1.0, left)
    return Step(
        name,
        other,
        Quantity.within(f"loss, {other} − {name}", loss, loss_interval, "loss"),
        Quantity.within(f"error, {other} − {name}", error, interval),
        MEANING[name, other],
    )


def _left(name: str, scores: SampleScores) -> float:
    """Share of a split that was not looked at, where the split itself is meant; 1 where it stands for more."""
    if name != TRAINING or scores.whole is None:
        return 1.0
    return max(0.0, 1.0 - scores.samples / scores.whole)
