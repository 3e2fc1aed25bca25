"""What a change gains: two scores as a share of the span from the best constant to the lowest loss known. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final, final

from unstuck.measure.comparison import LARGE, Comparison, shortfall
from unstuck.measure.scores import Scores, SplitScore
from unstuck.rule import Aim
from unstuck.setup import Setup

ENOUGH: Final = 0.02
"""Share of the span that a change may leave for larger ones not to be tried: a fifth of what counts as large."""


def loss_compares(given: Setup, candidates: Sequence[Setup]) -> bool:
    """Whether the given loss means the same for the outputs of the changed set-ups."""
    return given.loss is not None and all(
        candidate.loss is given.loss or candidate.described.get("loss_units") == "same" for candidate in candidates
    )


@final
class Gauge:
    """Turns two scores into a gain: a share of the span from the best constant to the lowest known."""

    def __init__(self, comparison: Comparison | None, aim: Aim, by_loss: bool) -> None:
        meaningless = aim is Aim.TRAINING and comparison is not None and comparison.by_error_only
        by_loss = by_loss and aim is not Aim.BALANCED and not meaningless
        self.comparison, self.aim, self.by_loss = comparison, aim, by_loss
        self.score = aim.value if by_loss else aim.value.replace("loss", "error")
        self._reached = math.inf

    def note(self, scores: Iterable[Scores]) -> None:
        """Take what some changes have reached on held-out data for within reach, so that they share one yardstick."""
        if self.by_loss and self.aim in (Aim.HELD_OUT, Aim.TEST):
            known = [number for number in map(self.number, scores) if math.isfinite(number)]
            self._reached = min([self._reached, *known])

    def gain(self, before: Scores, after: Scores) -> float:
        """The gain; for a remedy of the training loss the smaller of training and held-out."""
        if self.aim is Aim.TRAINING:
            return min(self._one("training", before, after), self._one("held_out", before, after))
        if self.aim is Aim.BALANCED:
            return self._share(before.held_out.balanced_error, after.held_out.balanced_error, 1.0, 0.0)
        return self._one("held_out" if self.aim is Aim.HELD_OUT else "test", before, after)

    def is_enough(self, comparison: Comparison, scores: Scores, gain: float) -> bool:
        """Whether a change of the training leaves next to nothing that falls short, so that no other can do better."""
        if self.aim is not Aim.TRAINING or gain < LARGE.value or not comparison.comparators:
            return False
        return comparison.shortfall_of(scores, self.by_loss) < ENOUGH

    def height(self, scores: Scores) -> float:
        """How far the score lies above the lowest known, in spans, on the training data or held-out data.

        Other than in a gain, what lies above the best constant counts: coming down to it cures nothing, but tells
        which of several changes goes the right way.

        Args:
            scores: Of a run.

        Returns:
            The larger height of the two; infinite where a score is no number.
        """
        return max(self._height("training", scores.training), self._height("held_out", scores.held_out))

    def _height(self, split: str, score: SplitScore) -> float:
        by_loss = self.by_loss and not self._runs_away(score)
        number = score.loss if by_loss else score.error
        constant, lowest = self._span(split) if by_loss else (1.0, 0.0)
        if not math.isfinite(number):
            return math.inf
        return (number - lowest) / (constant - lowest) if math.isfinite(lowest) and constant > lowest else number

    def number(self, scores: Scores) -> float:
        """The number that the trial shows."""
        if self.aim is Aim.BALANCED:
            return scores.held_out.balanced_error
        split = {Aim.TRAINING: scores.training, Aim.HELD_OUT: scores.held_out, Aim.TEST: scores.test}[self.aim]
        if split is None:
            return math.nan
        return split.loss if self.by_loss else split.error

    def closed(self, pairs: Sequence[tuple[Scores, Scores]]) -> float | None:
        """Share of what falls short of the lowest known score that is closed; None where that is not known."""
        split = {Aim.TRAINING: "training", Aim.TEST: "test"}.get(self.aim, "held_out")
        lowest = self._span(split)[1] if self.by_loss else 0.0
        before = [self.number(old) for old, _ in pairs]
        after = [self.number(new) for _, new in pairs]
        was, becomes = sum(before) / len(before), sum(after) / len(after)
        if not math.isfinite(lowest):
            return None
        lowest = min(lowest, becomes)
        if not math.isfinite(was):
            return 1.0 if math.isfinite(becomes) else 0.0
        return (was - becomes) / (was - lowest) if was > lowest else 0.0

    def _one(self, split: str, before: Scores, after: Scores) -> float:
        old: SplitScore | None = getattr(before, split)
        new: SplitScore | None = getattr(after, split)
        if old is None or new is None:
            return 0.0
        constant, lowest = self._span(split)
        floor = None if self.comparison is None else self.comparison.floor
        if not self.by_loss or (
            floor is not None and new.loss < floor
        ):  # a loss that runs away downwards cures nothing
            return self._share(old.error, new.error, 1.0, 0.0)
        gain = self._share(old.loss, new.loss, constant, lowest)
        return max(gain, _harm_undone(before, after, constant, lowest)) if self.aim is Aim.HELD_OUT else gain

    def _runs_away(self, score: SplitScore) -> bool:
        """Whether a loss is lower than it can be: it runs away downwards, which cures nothing."""
        floor = None if self.comparison is None else self.comparison.floor
        return floor is not None and score.loss < floor

    def _span(self, split: str) -> tuple[float, float]:
        if self.comparison is None:
            return math.nan, math.nan
        constant = getattr(self.comparison, f"constant_{split}")
        lowest = self.comparison.lowest("training" if split == "training" else "held_out")
        if self.aim in (Aim.HELD_OUT, Aim.TEST):  # also what is worse on the training data shows what can be reached
            lowest = min(
                [
                    lowest,
                    self._reached,
                    *(each.held_out for each in self.comparison.comparators if each.scale == "loss"),
                ]
            )
        return (math.nan if constant is None else constant), lowest

    def _share(self, old: float, new: float, constant: float, lowest: float) -> float:
        if math.isnan(new) or new == math.inf:
            return -1.0 if math.isfinite(old) else 0.0
        if not math.isfinite(constant):
            constant = old if math.isfinite(old) else new + max(1.0, abs(new))
        if not math.isfinite(lowest):  # nothing to go by but the size of the loss itself
            lowest = constant - max(abs(constant), abs(new))
        lowest = min(lowest, new)
        # What lies above the best constant is worth no more than the constant: to come down to it is no cure.
        given, reached = shortfall(old, lowest, constant), shortfall(new, lowest, constant)
        if reached > 1.0:
            return max(-1.0, min(0.0, given - reached))
        return max(-1.0, min(1.0, given) - reached)


def _harm_undone(before: Scores, after: Scores, constant: float, lowest: float) -> float:
    """The gain where a run is worse than a constant on new samples, having learnt by heart, and no longer is.

    On the training data, coming down to the constant is no cure; on new samples there may be nothing more to be had,
    and what was confidently wrong no longer is. The losses are held against the span that is open in training.

    Returns:
        The gain; 0 where there was no such harm, or it is still there, or new samples can be told from each other.
    """
    span = constant - before.training.loss
    if not 0.0 < span < math.inf or constant - lowest >= LARGE.value * span:
        return 0.0
    was, becomes = ((scores.held_out.loss - constant) / span for scores in (before, after))
    return min(1.0, was - becomes) if was >= LARGE.value and becomes < LARGE.value else 0.0
