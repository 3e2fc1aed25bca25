"""What is measured for its picture alone is measured only where it shows something."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from unstuck.exhibition import exhibit
from unstuck.measure.batch_timing import BatchTiming
from unstuck.measure.noise_floor import NoiseFloor
from unstuck.measure.scores import FinalScores, Scores, SplitScore


def asked(error: float, codes: tuple[str, ...] = (), has_much_time: bool = True) -> list[type]:
    """What is measured besides."""
    score = SplitScore(0.3, 0.01, error, 100)
    taken = {FinalScores: FinalScores(Scores(score, score, None), score)}
    wanted: list[type] = []
    examination: Any = SimpleNamespace(taken=lambda: taken, get=wanted.append, put=lambda *_: None)
    present: Any = tuple(SimpleNamespace(rule=SimpleNamespace(code=code)) for code in codes)
    exhibit(examination, None, present, {}, {}, has_much_time)
    return wanted


def test_the_noise_floor_is_taken_where_nothing_is_the_matter_and_much_is_left() -> None:
    assert asked(0.4) == [NoiseFloor]


@pytest.mark.parametrize(
    ("error", "codes", "has_much_time"),
    [(0.05, (), True), (float("nan"), (), True), (0.4, ("OPT001",), True), (0.4, (), False)],
)
def test_it_is_not_where_little_is_left_or_a_cause_is_found_or_time_is_short(
    error: float, codes: tuple[str, ...], has_much_time: bool
) -> None:
    assert asked(error, codes, has_much_time) == []


@pytest.mark.parametrize("code", ["OPT012", "OPT013"])
def test_batches_are_timed_where_their_size_is_the_cause(code: str) -> None:
    assert asked(0.4, (code,)) == [BatchTiming]
