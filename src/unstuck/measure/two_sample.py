"""Whether test inputs come from the distribution of the training inputs, and whether a simple map undoes it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import ClassVar, Final, final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from unstuck.measure.features import InputKind, Table, flattened, input_kind, inputs_of, token_table
from unstuck.measure.learners import Whole, quietly
from unstuck.measure.preparation import Prepared
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.shift_maps import MapFit, candidates, mapped, undo
from unstuck.quantity import Interval
from unstuck.setup import Data, Setup
from unstuck.setup.randomness import isolated, one_thread
from unstuck.stats import area_deviation, area_interval

SIDE: Final = 800
"""Samples of each side at most."""

FOLDS: Final = 5

WIDEST: Final = 200
"""Columns of one input at most."""

CLASSIFIERS: Final = ("logistic regression", "gradient boosting")

BLUR: Final = 0.1
"""Noise on each column, over its deviation, before a map is rated: the map is fitted, and a feature of few values gives
away that its third decimal is off."""

MOST_ANSWERS: Final = 50
"""Classes, or columns of targets, that are looked at beside the inputs at most."""

PLAIN: Final = 0.95
"""Area of the first classifier from which the second is not asked: the difference is plain already."""

INFLATION: Final = 2.0
"""Factor on the variance of a cross-validated area, for the folds learn from each other.

Without a difference, the area of fold i comes from differences of means d_i · Σ_{j≠i} d_j; any two of the K
folds share one of K − 1 terms, so that their correlation is 1/(K − 1) and the variance of their mean is
doubled for every K. Checked by simulation in the tests.
"""

__all__ = ["MapFit", "TwoSample", "undo"]


@final
@dataclass(frozen=True, slots=True)
class TwoSample:
    """Can a classifier tell training inputs from test inputs?

    Lopez-Paz & Oquab, "Revisiting classifier two-sample tests" (ICLR 2017), cross-validated, and with the
    area under the ROC curve in place of the accuracy.

    Attributes:
        against: "test", or "validation" where there is no test split but the user gave a validation split.
        auc: Cross-validated area under the ROC curve of the better classifier; 0.5 where they are alike.
        low: Lower end of its 95 % interval, both classifiers allowed for.
        high: Upper end.
        p_value: Of an area this large without a difference, both classifiers allowed for.
        classifier: The better one.
        training_samples: Training samples looked at.
        other_samples: Samples of the other side.
        maps: Maps that may undo the difference, the simplest first; empty where `low` is not above 0.5, and
            where
            there is no one floating-point input.
    """

    cost: ClassVar[float] = 0.5

    against: str
    auc: float
    low: float
    high: float
    p_value: float
    classifier: str
    training_samples: int
    other_samples: int
    maps: tuple[MapFit, ...]

    @classmethod
    def measure(cls, prepared: Prepared) -> TwoSample:
        """Compare the training inputs with those of the test split, or else of the user's validation split.

        Args:
            prepared: The set-up with its splits.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If there is nothing to compare with, or too little of it.
        """
        setup = prepared.setup
        name, other = "test", setup.test
        if other is None:
            if prepared.carved or setup.validation is None:
                raise NotMeasurable("there is neither a test split nor a validation split given")
            name, other = "validation", setup.validation
        ours, theirs = inputs_of(setup.train.head(SIDE)), inputs_of(other.head(SIDE))
        _check(ours, theirs, name)
        with isolated(0), one_thread(), quietly():
            judge = _Judge(ours, theirs)
            area, classifier = judge.area(theirs)
            count, their_count = len(ours[0]), len(theirs[0])
            interval = _interval(area, count, their_count)
            found = _maps(setup, other, ours, theirs) if interval.low > 0.5 else ()
        z = (area - 0.5) / area_deviation(0.5, count, their_count, INFLATION)
        p_value = min(1.0, len(CLASSIFIERS) * NormalDist().cdf(-z))
        return cls(name, area, interval.low, interval.high, p_value, classifier, count, their_count, found)


def _maps(setup: Setup, other: Data, ours: list[Tensor], theirs: list[Tensor]) -> tuple[MapFit, ...]:
    """Maps of the one floating-point input, the best of each kind, rated by what can still be told apart after it."""
    floating = [place for place, part in enumerate(ours) if part.is_floating_point()]
    if len(floating) != 1:
        return ()
    chosen, count, their_count = floating[0], len(ours[0]), len(theirs[0])
    judge = _Judge(ours, theirs, BLUR)
    maps: dict[str, MapFit] = {}
    for candidate in candidates(ours[chosen], theirs[chosen]):
        known = maps.get(candidate.name)
        if known is not None and known.low <= 0.5:
            continue
        changed = [*theirs[:chosen], mapped(candidate, theirs[chosen]), *theirs[chosen + 1 :]]
        after = judge.area(changed)[0]
        if known is None or after < known.auc_after:
            within = _interval(after, count, their_count)
            rated = replace(candidate, auc_after=after, low=within.low, high=within.high)
            maps[candidate.name] = replace(rated, whole=after, whole_low=within.low)
    answers = _answers(setup, setup.train, other)
    if answers is None:
        return tuple(maps.values())
    # Inputs that were drawn elsewhere can be squeezed into the shape of the training inputs; their targets stay.
    judge = _Judge([*ours, answers[0]], [*theirs, answers[1]], BLUR)
    for name, fit in maps.items():
        changed = [*theirs[:chosen], mapped(fit, theirs[chosen]), *theirs[chosen + 1 :], answers[1]]
        whole = judge.area(changed)[0]
        maps[name] = replace(fit, whole=whole, whole_low=_interval(whole, count, their_count).low)
    return tuple(maps.values())


def _answers(setup: Setup, train: Data, other: Data) -> tuple[Tensor, Tensor] | None:
    """Targets of both sides as columns, `[N, C]` and `[M, C]`; None where there are none, or too many."""
    sides = []
    for data in (train, other):
        targets = [setup.targets(batch) for batch in data.head(SIDE)]
        if not all(isinstance(part, Tensor) and part.dim() > 0 for part in targets):
            return None
        sides.append(torch.cat([part.detach().cpu().reshape(len(part), -1) for part in targets]))
    if any(side.shape[1] > MOST_ANSWERS for side in sides):
        return None
    if all(side.shape[1] == 1 and not side.is_floating_point() for side in sides):
        lowest, highest = (int(end(torch.cat(sides))) for end in (torch.min, torch.max))
        if highest - lowest >= MOST_ANSWERS:
            return None
        sides = [functional.one_hot(side[:, 0].long() - lowest, highest - lowest + 1) for side in sides]
    return sides[0].double(), sides[1].double()


def _check(ours: list[Tensor], theirs: list[Tensor], name: str) -> None:
    if not ours or min(len(ours[0]), len(theirs[0])) < 4 * FOLDS:
        raise NotMeasurable(f"fewer than {4 * FOLDS} samples in the training or the {name} split")
    for left, right in zip(ours, theirs, strict=True):
        if left.shape[1:] != right.shape[1:] and input_kind(left) is not InputKind.TOKENS:
            shapes = f"{list(left.shape[1:])} and {list(right.shape[1:])}"
            raise NotMeasurable(f"training and {name} inputs have different shapes: {shapes}")


def comparable(ours: list[Tensor], theirs: list[Tensor], name: str) -> tuple[Table, Table]:
    """The inputs of two splits as tables with the same columns.

    Args:
        ours: Training inputs, each `[N, …]`.
        theirs: Those of the other split, each `[M, …]`.
        name: Of the other split, for messages.

    Returns:
        Shapes `[N, D]` and `[M, D]`; a column is in units of a ten-thousandth of its deviation.

    Raises:
        NotMeasurable: If there are too few samples, or their shapes differ.
    """
    _check(ours, theirs, name)
    judge = _Judge(ours, theirs)
    return judge.ours, judge._rounded(judge._columns(theirs))


def _interval(area: float, count: int, their_count: int) -> Interval:
    return area_interval(area, count, their_count, INFLATION, 1.0 - 0.05 / len(CLASSIFIERS))


@final
class _Judge:
    """Tells training inputs from others, cross-validated.

    The table is one that no side has shaped: principal axes of the training inputs, say, fit the training samples
    better than any others, which gives them away. Numbers are rounded to a ten-thousandth of their deviation, lest
    the rounding of a map does.
    """

    def __init__(self, ours: list[Tensor], theirs: list[Tensor], blur: float = 0.0) -> None:
        both = [torch.cat([left.flatten(), right.flatten()]) for left, right in zip(ours, theirs, strict=True)]
        self.vocabularies = [
            int(values.max()) + 1 if input_kind(part) is InputKind.TOKENS else 0
            for part, values in zip(ours, both, strict=True)
        ]
        raw, other = self._columns(ours), self._columns(theirs)
        self.step = np.where(raw.std(0) > 0.0, raw.std(0), np.concatenate([raw, other]).std(0)) * 1e-4
        self.step[self.step == 0.0] = 1.0
        self.blur, self.draws = blur / 1e-4, np.random.default_rng(0)
        self.ours = self._rounded(raw)

    def area(self, theirs: list[Tensor]) -> tuple[float, str]:
        """Area under the ROC curve of the better classifier, and which it is."""
        table = np.concatenate([self.ours, self._rounded(self._columns(theirs))])
        labels = np.repeat([0, 1], [len(self.ours), len(table) - len(self.ours)])
        order = np.random.default_rng(0).permutation(len(table))
        fold = np.empty(len(table), dtype=np.int64)
        for label in (0, 1):
            members = order[labels[order] == label]
            fold[members] = np.arange(len(members)) % FOLDS
        areas = {CLASSIFIERS[0]: _area(CLASSIFIERS[0], table, labels, fold)}
        if areas[CLASSIFIERS[0]] < PLAIN:
            areas[CLASSIFIERS[1]] = _area(CLASSIFIERS[1], table, labels, fold)
        best = max(areas, key=lambda name: areas[name])
        return areas[best], best

    def _rounded(self, table: Table) -> Table:
        rounded = np.clip(np.round(table / self.step), -1e9, 1e9)
        return np.asarray(rounded + self.blur * self.draws.standard_normal(table.shape) if self.blur else rounded)

    def _columns(self, inputs: list[Tensor]) -> Table:
        parts = []
        for part, size in zip(inputs, self.vocabularies, strict=True):
            parts.extend([token_table(part, size)] if size else _numbers(part))
        return torch.cat(parts, 1).double().numpy()


def _numbers(part: Tensor) -> list[Tensor]:
    """Columns of an input of numbers; wide ones are averaged or projected, with a few summaries of each sample."""
    flat = flattened(part)
    if flat.shape[1] <= WIDEST:
        return [flat]
    step = (flat[:, 1:] - flat[:, :-1]).abs().mean(1)
    outline = torch.stack([flat.mean(1), flat.std(1), flat.amin(1), flat.amax(1), step], 1)
    if input_kind(part) is InputKind.IMAGES and part.shape[1] <= 16:
        side = max(1, math.isqrt(WIDEST // 2 // part.shape[1]))
        return [functional.adaptive_avg_pool2d(part.float(), (side, side)).flatten(1), outline]
    draws = torch.Generator().manual_seed(0)
    return [flat @ torch.randn(flat.shape[1], WIDEST // 2, generator=draws), outline]


def _area(name: str, table: Table, labels: Whole, fold: Whole) -> float:
    """Mean area over the folds, each scored by what the others taught."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    areas = []
    for number in range(FOLDS):
        learn, check = fold != number, fold == number
        if name == CLASSIFIERS[0]:
            centre, scale = table[learn].mean(0), table[learn].std(0)
            scale[scale == 0.0] = 1.0
            standard = (table - centre) / scale
            model = LogisticRegression(C=0.1, max_iter=200).fit(standard[learn], labels[learn])
            said = model.decision_function(standard[check])
        else:
            model = HistGradientBoostingClassifier(
                max_iter=15,
                learning_rate=0.3,
                max_leaf_nodes=6,
                max_bins=32,
                early_stopping=False,
                random_state=0,
            ).fit(table[learn], labels[learn])
            said = model.decision_function(table[check])
        areas.append(float(roc_auc_score(labels[check], said)))
    return math.fsum(areas) / FOLDS
