"""The records of a choice among candidates: plain data, no torch, no rendering."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, final

from unstuck.honesty import Leaderboard
from unstuck.quantity import Quantity

CHOICE_SCHEMA: Final = 1


@final
@dataclass(frozen=True, slots=True)
class Between:
    """A range of numbers to search.

    Attributes:
        low: Smallest value.
        high: Largest value, above `low`.
        log: Whether factors matter rather than differences, as for rates.
        whole: Whether only whole numbers count.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        """Refuse a range that holds nothing.

        Raises:
            ValueError: If it is empty, or logarithmic and not above 0.
        """
        if not self.low < self.high or (self.log and self.low <= 0.0):
            raise ValueError(f"a range must run from low to high, and above 0 where it is logarithmic; got {self!r}")


@final
@dataclass(frozen=True, slots=True)
class CandidateScore:
    """One candidate and how it did.

    Attributes:
        name: As given, or made from its hyper-parameters.
        hyper: Its hyper-parameters, where it was searched for.
        loss: Held-out loss, mean over samples of all folds; NaN where it could not be trained.
        error: The task's error, likewise: share of wrong answers or squared error; NaN where not known.
        standard_error: Of what was chosen by, over folds.
        folds: What was chosen by, of each fold that was trained.
        parameters: Numbers that are trained.
        pruned: Whether it was given up before the last fold.
        problem: Why it could not be trained, or "".
        training_curve: Training loss per epoch, mean over folds.
        validation_curve: Held-out loss per epoch, mean over folds.
    """

    name: str
    hyper: Mapping[str, Any]
    loss: float
    error: float
    standard_error: float
    folds: tuple[float, ...]
    parameters: int
    pruned: bool = False
    problem: str = ""
    training_curve: tuple[float, ...] = ()
    validation_curve: tuple[float, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Honesty:
    """How far the score of the chosen candidate can be believed.

    Attributes:
        tried_now: Candidates of this choice.
        tried_so_far: Different candidates that the log knows for these samples, these included.
        samples: Samples that they were judged on.
        optimism: By how much the best score flatters, from the bootstrap of the selection.
        corrected: What the best candidate is expected to reach on new samples.
        fold_bias: The same flattery from the folds (Tibshirani & Tibshirani 2009); NaN without folds.
        bound: How far off a score can be by Hoeffding's bound for all that were tried; NaN where scores have no bound.
        lead: Of the best over the median candidate; NaN where there is but one.
        lead_is_chance: Whether the optimism is as large as the lead: choosing alone explains it.
        bound_says_nothing: Whether the bound is wider than the lead.
        wished: The distance that `samples_needed` is for.
        samples_needed: Samples by that bound, so that no candidate is further off; 0 where scores have no bound.
        samples_enough: Samples by the bootstrap, so that the flattery is no larger; 0 where there is none.
        board: What a public leaderboard would have told.
        nested: Error of the whole procedure by nested cross-validation, where it was run.
    """

    tried_now: int
    tried_so_far: int
    samples: int
    optimism: Quantity
    corrected: Quantity
    fold_bias: float
    bound: float
    lead: float
    lead_is_chance: bool
    bound_says_nothing: bool
    wished: float
    samples_needed: int
    samples_enough: int
    board: Leaderboard
    nested: Quantity | None = None


@final
@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen, among what, and how far to believe it.

    Attributes:
        sentence: The choice in one sentence.
        chosen: Name of the candidate chosen.
        best: Name of the candidate with the lowest score.
        by: "loss" or "error": what was chosen by.
        rule: "one standard error" or "lowest".
        splitting: How the folds were made.
        candidates: All of them, the best first.
        honesty: How far to believe it.
        notes: What a reader should know.
        seconds: Wall time.
        fingerprint: Of the samples that it was judged on.
        complete: False where it was cut short.
        schema: Version of this layout.
    """

    sentence: str
    chosen: str
    best: str
    by: str
    rule: str
    splitting: str
    candidates: tuple[CandidateScore, ...]
    honesty: Honesty
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    fingerprint: str = ""
    complete: bool = True
    schema: int = field(default=CHOICE_SCHEMA)

    def __str__(self) -> str:
        """The choice as plain text, 80 columns, no colour."""
        from unstuck.render import selection  # rendering knows records, not the other way round

        return selection.plain(self)
