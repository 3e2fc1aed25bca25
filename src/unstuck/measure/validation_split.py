"""What the user's validation split can bear: how sure its score is, whom it stands for, and how often it was asked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np
from torch import Tensor

from unstuck import candidate_log
from unstuck.measure.fingerprint import fingerprint
from unstuck.measure.preparation import Trained
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.sample_scores import sample_scores
from unstuck.measure.task import Kind, Task
from unstuck.setup import Data, Setup
from unstuck.stats import mean_interval, wilson_interval

LOOKED_AT: Final = 20_000
"""Samples of a split that are looked at, at most."""

SHARES: Final = (Kind.CLASSES, Kind.BINARY)


@final
@dataclass(frozen=True, slots=True)
class ValidationScore:
    """How sure the score on the user's validation split is.

    Attributes:
        samples: Samples of the validation split.
        training_samples: Samples of the training split.
        error: The task's error there: share of wrong answers, or squared error.
        low: Lower end of its 95 % interval over samples.
        high: Upper end.
        constant: Error of the best constant prediction there.
        shares: Whether errors are shares of wrong answers.
        distance: Half the sum of the differences of the class shares in training and validation; NaN without classes.
        p_value: Of such a distance or a larger one, were both drawn from the same classes (chi-squared; Pearson 1900).
    """

    cost: ClassVar[float] = 1.0

    samples: int
    training_samples: int
    error: float
    low: float
    high: float
    constant: float
    shares: bool
    distance: float
    p_value: float

    @classmethod
    def measure(cls, setup: Setup, trained: Trained, task: Task) -> ValidationScore:
        """Score the run as given on it, sample by sample.

        Args:
            setup: As given.
            trained: Its run.
            task: The task.

        Returns:
            The score.

        Raises:
            NotMeasurable: If there is no validation split, or the error of a sample cannot be told.
        """
        if setup.validation is None:
            raise NotMeasurable("no validation split was given, so nothing was decided by one")
        found = sample_scores(setup, task, trained.run.model, setup.validation, LOOKED_AT)
        targets = _targets(setup, setup.validation)
        if not found.errors.size or targets is None:
            raise NotMeasurable("the task's error cannot be told sample by sample")
        shares = task.kind in SHARES
        count, error = len(found.errors), float(found.errors.mean())
        if task.kind is Kind.VALUES:
            interval = mean_interval(found.errors.tolist())
            constant = float(((targets - targets.mean(0)) ** 2).mean())
        elif not shares:  # several labels at once: the better answer for each label
            interval = mean_interval(found.errors.tolist())
            rates = targets.reshape(len(targets), -1).mean(0)
            constant = float(np.minimum(rates, 1.0 - rates).mean())
        else:
            interval = wilson_interval(round(error * count), count)
            constant = 1.0 - float(np.unique(_labels(task, targets), return_counts=True)[1].max()) / max(1, count)
        training = _targets(setup, setup.train) if shares else None
        distance, p_value = math.nan, math.nan
        if training is not None:
            distance, p_value = _apart(_labels(task, training), _labels(task, targets))
        size = setup.train.size or 0
        return cls(count, size, error, interval.low, interval.high, constant, shares, distance, p_value)


@final
@dataclass(frozen=True, slots=True)
class CandidatesTried:
    """How often the user's validation split was asked.

    Attributes:
        candidates: Different candidates that were judged on it.
        source: Where the number is from.
    """

    cost: ClassVar[float] = 0.0

    candidates: int
    source: str

    @classmethod
    def measure(cls, setup: Setup) -> CandidatesTried:
        """Take the number that the user gave, or look into the log that `unstuck select` keeps."""
        if setup.validation is None:
            raise NotMeasurable("no validation split was given, so nothing was chosen by one")
        if setup.candidates_tried is not None:
            return cls(setup.candidates_tried, "as given")
        known = candidate_log.read(fingerprint(setup.validation))
        if not known.candidates:
            raise NotMeasurable(
                "how many candidates were judged on this validation split is not known; give `candidates_tried=` to "
                "`Setup.of`, or choose with `unstuck select`, which counts them"
            )
        return cls(len(known.candidates), f"the log {candidate_log.DEFAULT}")


def _targets(setup: Setup, data: Data) -> Any:
    """Targets of a split as an array `[N, …]`, or None where they are no tensors of one shape."""
    parts = [setup.targets(batch) for batch in data.head(LOOKED_AT)]
    if not parts or not all(isinstance(part, Tensor) for part in parts):
        return None
    try:
        return np.concatenate([part.detach().cpu().double().numpy() for part in parts])
    except ValueError:
        return None


def _labels(task: Task, targets: Any) -> Any:
    return targets.argmax(1) if task.one_hot else targets.reshape(-1)


def _apart(first: Any, second: Any) -> tuple[float, float]:
    """Distance of the class shares of two splits, and its p-value."""
    from scipy.stats import chi2_contingency

    names = np.unique(np.concatenate([first, second]))
    if len(names) < 2 or min(len(first), len(second)) < 1:
        return 0.0, 1.0
    table = np.stack([[(split == name).sum() for name in names] for split in (first, second)]).astype(float)
    shares = table / table.sum(1, keepdims=True)
    p_value = float(chi2_contingency(table).pvalue)
    return float(np.abs(shares[0] - shares[1]).sum() / 2.0), p_value
