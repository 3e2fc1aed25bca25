"""The run as given against everything that it can fairly be compared with.

A loss is large only where something goes lower on the training data *and* on held-out data of the same
distribution: a copy that memorises is no proof that the given run fails.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Final, final

from unstuck.measure.best_constant import BestConstant
from unstuck.measure.enlarged_copy import EnlargedCopy
from unstuck.measure.protocol import NotMeasurable, Unmeasured
from unstuck.measure.references import References
from unstuck.measure.robust_copy import RobustCopy
from unstuck.measure.scores import FinalScores, Scores
from unstuck.measure.shortfall import Comparator as Comparator
from unstuck.measure.shortfall import comparator_on_error, comparator_on_loss, or_zero
from unstuck.measure.shortfall import shortfall as shortfall
from unstuck.measure.task import OF_CLASSES, OF_YES_OR_NO, Task
from unstuck.quantity import Threshold

LARGE: Final = Threshold(
    0.1,
    "share of the span from the best constant to the best comparison",
    "about the largest shortfall of a healthy patient of the benchmark, which docs/accuracy.md tells",
)

MOST_OF_IT: Final = Threshold(
    0.5,
    "share of the shortfall",
    "majority: the copy explains more of the shortfall than everything else together",
)

SAME_MODEL: Final = "same model"
OTHER_LEARNER: Final = "other learner"
LARGER_MODEL: Final = "larger model"


@final
@dataclass(frozen=True, slots=True)
class Comparison:
    """Where the run as given stands.

    Attributes:
        constant_training: Loss of the best constant prediction on the training split.
        constant_held_out: Likewise on the held-out part.
        constant_test: Likewise on the test split, or None.
        given: The scores of the run as given.
        comparators: What it was compared with.
        settled: Why no comparison was needed, or "".
        narrow_on_purpose: Whether the network gives back its inputs. What is not as narrow, a linear map or a wider
            copy, does so trivially, and is no fair comparison.
        floor: The lowest that the loss can be where it is a likelihood of classes: 0. What is below shows that the
            outputs are no probabilities. None for other losses.
    """

    cost: ClassVar[float] = 4.0

    constant_training: float
    constant_held_out: float
    constant_test: float | None
    given: Scores
    comparators: tuple[Comparator, ...]
    settled: str = ""
    narrow_on_purpose: bool = False
    floor: float | None = None

    @classmethod
    def measure(
        cls,
        learners: LearnerComparison,
        robust: Callable[[], RobustCopy],
        enlarged: Callable[[], EnlargedCopy],
    ) -> Comparison:
        """Compare with copies of the same model too, the larger one only where it can tell something."""
        base = learners.comparison
        if base.settled:
            return base
        copies = _copy(base, "the same model, robustly trained", SAME_MODEL, robust)
        scales = {comparator.scale for comparator in base.comparators} or {"loss"}
        found = [*base.comparators, *(copy for copy in copies if copy.scale in scales)]
        compared = replace(base, comparators=tuple(found))
        if base.narrow_on_purpose:
            return compared
        if compared.training_is_large and _is_beaten(compared):  # else a larger model has nothing to tell
            larger = _copy(base, "the model enlarged, robustly trained", LARGER_MODEL, enlarged)
            found += [copy for copy in larger if copy.scale in scales]
        return replace(base, comparators=tuple(found))

    def best(self, kind: str | None = None) -> Comparator | None:
        """The comparator that the run falls most short of, of one kind or of all."""
        wanted = [comparator for comparator in self.comparators if kind in (None, comparator.kind)]
        return max(wanted, key=lambda comparator: comparator.shortfall, default=None)

    @property
    def constants(self) -> tuple[float, float]:
        """Loss of the best constant prediction on the training split and on the held-out part."""
        return self.constant_training, self.constant_held_out

    @property
    def shortfall(self) -> float:
        """The largest shortfall; 0 where nothing goes lower."""
        best = self.best()
        return 0.0 if best is None else best.shortfall

    def closed_by(self, kind: str) -> float:
        """Share of what the run as given falls short of that the best of a kind closes.

        A run above the best constant falls short of everything by all there is, most of all of what hardly comes down
        from the constant itself. There it is how far each comes down that is compared.

        Args:
            kind: SAME_MODEL, OTHER_LEARNER or LARGER_MODEL.

        Returns:
            The share, 1 where nothing else goes as low; NaN where there is none of the kind, or nothing goes lower.
        """
        of_kind = [comparator for comparator in self.comparators if comparator.kind == kind]
        if not of_kind or not self.shortfall > 0.0:
            return math.nan
        if self.shortfall <= 1.0:
            return max(comparator.shortfall for comparator in of_kind) / self.shortfall
        furthest = {scale: max(map(self._fall, self._on(scale))) for scale in {each.scale for each in of_kind}}
        shares = [self._fall(each) / furthest[each.scale] for each in of_kind if furthest[each.scale] > 0.0]
        return max(shares, default=math.nan)

    def beats_constant(self, kind: str) -> bool:
        """Whether one of a kind comes down from the best constant, which any network can give: else it was not trained.

        Args:
            kind: SAME_MODEL, OTHER_LEARNER or LARGER_MODEL.

        Returns:
            Whether it does, on the training data and on held-out data.
        """
        return any(self._fall(comparator) > 0.0 for comparator in self.comparators if comparator.kind == kind)

    def _on(self, scale: str) -> list[Comparator]:
        return [comparator for comparator in self.comparators if comparator.scale == scale]

    def _fall(self, comparator: Comparator) -> float:
        """How far a comparator comes down from the best constant, on the split where that is less."""
        training, held_out = (1.0, 1.0) if comparator.scale == "error" else self.constants
        return min(training - comparator.training, held_out - comparator.held_out)

    def shortfall_of(self, scores: Scores, by_loss: bool) -> float:
        """The largest shortfall that another run has against the same comparators.

        Args:
            scores: Of that run.
            by_loss: Whether its losses mean the same; else only the task's error is compared.

        Returns:
            The shortfall; 0 where nothing goes lower.
        """
        found = [0.0]
        for comparator in self.comparators:
            if comparator.scale == "error":
                training, held_out = scores.training.error, scores.held_out.error
                tops = 1.0, 1.0
            elif by_loss:
                training, held_out = scores.training.loss, scores.held_out.loss
                tops = self.constant_training, self.constant_held_out
            else:
                continue
            short = shortfall(training, comparator.training, tops[0]), shortfall(held_out, comparator.held_out, tops[1])
            found.append(min(short))
        return max(found)

    @property
    def can_clear(self) -> bool:
        """Whether the comparison can say that nothing is wrong: it was settled, or put to learners of other kinds."""
        return bool(self.settled) or any(comparator.kind == OTHER_LEARNER for comparator in self.comparators)

    @property
    def training_is_large(self) -> bool:
        """Whether something goes lower on both splits by as much as matters, beyond its interval."""
        return any(c.shortfall >= LARGE.value and c.low > 0.0 for c in self.comparators)

    @property
    def training_may_be_large(self) -> bool:
        """Whether something goes lower by as much as matters, be it within its interval."""
        return self.shortfall >= LARGE.value

    @property
    def by_error_only(self) -> bool:
        """Whether the loss could be compared with nothing: unknown, without a bound below, or of another meaning."""
        return bool(self.comparators) and all(comparator.scale == "error" for comparator in self.comparators)

    def lowest(self, split: str) -> float:
        """The lowest loss known to be within reach on "training" or "held_out", on the loss scale."""
        given = getattr(self.given, split).loss
        values = [getattr(c, split) for c in self.comparators if c.scale == "loss" and c.shortfall > 0.0]
        return float(min([given, *values]))


@final
@dataclass(frozen=True, slots=True)
class LearnerComparison:
    """The run as given against learners that have neither its model nor its recipe: the cheap half.

    Attributes:
        comparison: The comparison with the best constant and the reference learners only.
    """

    cost: ClassVar[float] = 1.5

    comparison: Comparison

    @classmethod
    def measure(
        cls,
        final_scores: FinalScores,
        constant: BestConstant,
        task: Task | Unmeasured,
        references: Callable[[], References],
    ) -> LearnerComparison:
        """Compare; with the best constant alone where that settles it."""
        given = final_scores.scores
        base = Comparison(constant.training_loss, constant.held_out_loss, constant.test_loss, given, ())
        left = max(_ratio(given.training.loss, base.constant_training), or_zero(given.training.error))
        if left < LARGE.value:
            why = f"the training loss is {left:.1%} of the best constant's: nothing can go lower by as much as matters"
            return cls(replace(base, settled=why))
        if isinstance(task, Task) and task.reconstructs:
            return cls(replace(base, narrow_on_purpose=True))
        found = list(_learners(base, references))
        odd = isinstance(task, Task) and not task.exact_loss and not _broadcasts(task)
        if isinstance(task, Task) and task.output_form in (*OF_CLASSES, *OF_YES_OR_NO):
            base = replace(base, floor=0.0)
        if base.floor is not None and given.training.loss < base.floor:
            found = [comparator for comparator in found if comparator.scale == "error"]
        elif odd and any(c.scale == "loss" for c in found):
            # Weights and smoothing say that plain accuracy is not what is wanted.
            found = [comparator for comparator in found if comparator.scale == "loss"]
        return cls(replace(base, comparators=tuple(found)))


def _broadcasts(task: Task) -> bool:
    """Whether as many outputs as targets are compared in other shapes: then only the error means anything."""
    outputs, targets = task.output_shape, task.target_shape
    return outputs != targets and math.prod(outputs) == math.prod(targets)


def _is_beaten(compared: Comparison) -> bool:
    """Whether other learners go lower than the same model does even when trained robustly."""
    same, other = compared.best(SAME_MODEL), compared.best(OTHER_LEARNER)
    if same is None:
        return True
    if other is None or compared.shortfall <= 1.0:
        return other is not None and other.shortfall - same.shortfall >= LARGE.value
    return compared.closed_by(OTHER_LEARNER) - compared.closed_by(SAME_MODEL) >= LARGE.value


def _learners(base: Comparison, references: Callable[[], References]) -> Iterator[Comparator]:
    try:
        measured = references()
    except NotMeasurable:
        return
    for reference in measured.references:
        if reference.training_loss is not None and reference.held_out_loss is not None:
            yield comparator_on_loss(
                base.given,
                base.constants,
                reference.name,
                OTHER_LEARNER,
                reference.training_loss,
                reference.held_out_loss,
                reference.held_out_standard_error,
            )
        by_error = comparator_on_error(
            base.given, reference.name, OTHER_LEARNER, reference.training_error, reference.held_out_error
        )
        if by_error is not None:
            yield by_error


def _copy(
    base: Comparison, name: str, kind: str, copy: Callable[[], RobustCopy] | Callable[[], EnlargedCopy]
) -> Iterator[Comparator]:
    try:
        found = copy()
    except NotMeasurable:
        return
    scores = found.scores
    if isinstance(found, EnlargedCopy) and found.how:
        name = f"{name} ({found.how})"
    training, held_out = scores.training, scores.held_out
    by_loss = comparator_on_loss(
        base.given, base.constants, name, kind, training.loss, held_out.loss, held_out.standard_error
    )
    by_error = comparator_on_error(base.given, name, kind, training.error, held_out.error)
    compared = [by_loss] if by_error is None else [by_loss, by_error]
    if not found.complete and not any(each.shortfall > 0.0 for each in compared):
        return  # cut shorter than the run as given and above it: it shows its time, not what the model can do
    yield from compared


def _ratio(value: float, whole: float) -> float:
    return value / whole if whole > 0.0 and value >= 0.0 and math.isfinite(value) else 1.0
