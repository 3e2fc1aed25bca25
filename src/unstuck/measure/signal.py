"""Whether anything at all can be predicted from the inputs: what every learner at hand reaches on held-out samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final, final

from unstuck.measure.pooled_skill import PooledSkill
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.references import References, ShuffledControl
from unstuck.measure.robust_copy import RobustCopy
from unstuck.measure.scores import FinalScores, Scores

PLAIN: Final = 0.5
"""A held-out error of the run as given below which nothing else needs to be asked: half of the way is learnt."""


FEWEST: Final = 20
"""Held-out samples from which on such an error is no accident."""

BEYOND_CHANCE: Final = 3.0
"""Standard errors below 1 that count as skill: the best of some five learners is looked at, and 2 would be passed by
one of them by chance once in ten times."""


@final
@dataclass(frozen=True, slots=True)
class Skill:
    """How well one learner does on samples that it has not seen.

    Attributes:
        name: Such as "gradient boosting".
        error: The task's error on the held-out split, 1 for the best constant prediction.
        standard_error: Of `error`.
        pooled_error: The error over the held-out and the test split, where there is one.
        pooled_standard_error: Of `pooled_error`.
    """

    name: str
    error: float
    standard_error: float
    pooled_error: float
    pooled_standard_error: float

    @property
    def beats_chance(self) -> bool:
        """Whether the error lies below 1 by more than chance."""
        return self.error + BEYOND_CHANCE * self.standard_error < 1.0


@final
@dataclass(frozen=True, slots=True)
class Signal:
    """What can be predicted, by whom.

    Attributes:
        skills: One a learner, the run as given first.
        null_errors: Held-out errors of the linear learner on shuffled targets; empty where some learner beats chance
            and it was not asked.
        linear_error: Held-out error of the linear learner on the targets as given, beside them; NaN likewise.
    """

    cost: ClassVar[float] = 0.5

    skills: tuple[Skill, ...]
    null_errors: tuple[float, ...]
    linear_error: float

    @classmethod
    def measure(
        cls,
        final_scores: FinalScores,
        references: Callable[[], References],
        robust: Callable[[], RobustCopy],
        pooled: Callable[[], PooledSkill],
        shuffled: Callable[[], ShuffledControl],
    ) -> Signal:
        """Ask one learner after another until one beats chance.

        Args:
            final_scores: Of the run as given.
            references: Learners that use neither the user's model nor their loss.
            robust: The user's model, robustly trained.
            pooled: Learners that are taught on held-out and test samples as well.
            shuffled: The linear learner where there is nothing to be learnt.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If the error cannot be told, or no reference learner could be put to the task.
        """
        given = final_scores.scores.held_out
        if math.isnan(given.error):
            raise NotMeasurable("the task's error cannot be told for this kind of outputs and targets")
        if given.error < PLAIN and given.samples >= FEWEST:
            return cls((_skill("the run as given", given.error, 0.0, None, 0.0),), (), math.nan)
        test = final_scores.scores.test
        share = 0.0 if test is None or math.isnan(test.error) else test.samples / (test.samples + given.samples)
        learners = references().references
        skills = []
        for one in learners:
            if one.held_out_error is not None and one.held_out_error_standard_error is not None:
                noise = one.held_out_error_standard_error
                skills.append(_skill(one.name, one.held_out_error, noise, one.test_error, share))
        if not skills:
            raise NotMeasurable("no reference learner could be scored on held-out samples")
        noise = max(skill.standard_error for skill in skills)
        skills.insert(0, _of(final_scores.scores, "the run as given", noise, share))
        if not any(skill.beats_chance for skill in skills):
            try:
                skills.append(_of(robust().scores, "the same model, robustly trained", noise, share))
            except NotMeasurable:
                pass
        if not any(skill.beats_chance for skill in skills):
            try:
                most = pooled()
                name = f"a learner ({most.learner}) taught on held-out samples as well"
                skills.append(Skill(name, most.error, most.standard_error, most.error, most.standard_error))
            except NotMeasurable:
                pass
        skills = [skill for skill in skills if not math.isnan(skill.error)]
        if any(skill.beats_chance for skill in skills):
            return cls(tuple(skills), (), math.nan)
        control = shuffled()
        linear = next((one.held_out_error for one in learners if one.kind == "linear"), None)
        return cls(tuple(skills), control.null_held_out_errors, math.nan if linear is None else linear)


def _of(scores: Scores, name: str, noise: float, share: float) -> Skill:
    test = None if scores.test is None or math.isnan(scores.test.error) else scores.test.error
    return _skill(name, scores.held_out.error, noise, test, share)


def _skill(name: str, error: float, noise: float, test_error: float | None, share: float) -> Skill:
    """Pool two splits, `share` of whose samples are test samples."""
    if test_error is None or share == 0.0:
        return Skill(name, error, noise, error, noise)
    pooled = (1.0 - share) * error + share * test_error
    return Skill(name, error, noise, pooled, noise * math.sqrt(1.0 - share))
