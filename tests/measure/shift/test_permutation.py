"""Two samples of one distribution are accused as often as asked for; of each kind of difference some test knows."""

from __future__ import annotations

import numpy as np
import pytest

from unstuck.measure.features import Table
from unstuck.measure.shift.permutation import TESTS, compare, normal_scores


def pair(seed: int, rows: int = 120, columns: int = 3) -> tuple[Table, Table]:
    draws = np.random.default_rng(seed)
    return draws.normal(size=(rows, columns)), draws.normal(size=(rows, columns))


def test_false_alarms_come_as_often_as_asked_for() -> None:
    alarms = np.mean([compare(*pair(seed), permutations=99, seed=seed).p_value <= 0.1 for seed in range(80)])
    assert 0.01 <= alarms <= 0.2  # 0.1 within three standard errors


def shifted(kind: str) -> tuple[Table, Table]:
    ours, theirs = pair(3, 200)
    if kind == "mean":
        theirs = theirs + np.array([0.6, 0.0, 0.0])
    elif kind == "spread":
        theirs = theirs * np.array([1.7, 1.0, 1.0])
    elif kind == "correlation":
        theirs[:, 1] = 0.6 * theirs[:, 0] + 0.8 * theirs[:, 1]
    else:
        theirs[:20, 2] *= 6.0
    return ours, theirs


@pytest.mark.parametrize(
    ("kind", "finder"), [("mean", "margins"), ("spread", "moments"), ("correlation", "classifier")]
)
def test_each_kind_of_difference_is_seen(kind: str, finder: str) -> None:
    found = compare(*shifted(kind))
    assert found.p_value <= 0.01
    assert found.p_values[TESTS.index(finder)] <= 0.01


def test_margins_alone_do_not_see_a_correlation() -> None:
    assert compare(*shifted("correlation")).p_values[TESTS.index("margins")] > 0.05


def test_the_moved_column_and_no_other_is_named_and_the_strangest_rows_score_highest() -> None:
    ours, theirs = pair(5, 200)
    theirs[:, 1] += 1.0
    found = compare(ours, theirs)
    assert (found.column_p_values <= 0.05).tolist() == [False, True, False]
    strangest = np.argsort(-found.scores[200:])[:40]
    assert theirs[strangest, 1].mean() > theirs[:, 1].mean() + 0.5


def test_units_and_a_single_outlier_change_nothing() -> None:
    table = np.random.default_rng(0).normal(size=(50, 2))
    wild = table * np.array([1e6, 1.0])
    wild[np.argmax(wild[:, 1]), 1] = 1e9
    assert np.allclose(normal_scores(table), normal_scores(wild))
