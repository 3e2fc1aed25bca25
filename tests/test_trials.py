"""Trials: what counts as a gain, which of several changes is kept, and how many seeds it takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import cast

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from tests.tiny import comparison, line, prepared, rule, scores, split, with_rate
from unstuck.errors import RemedyError, UnstuckError
from unstuck.examine import Examination
from unstuck.gauge import Gauge
from unstuck.laboratory import Attempt, Laboratory
from unstuck.loop import Run, fit
from unstuck.measure.comparison import LARGE, Comparison
from unstuck.measure.scores import Scores
from unstuck.pairing import MORE_SEEDS, SEEDS
from unstuck.report import Outcome
from unstuck.rule import Aim
from unstuck.setup import Setup
from unstuck.trials import NO_SCALE, Tried, apply_remedy, trial

GAUGE = Gauge(comparison(1.0), Aim.TRAINING, by_loss=True)


@pytest.mark.parametrize(
    ("before", "after", "gain"),
    [
        (1.0, 0.0, 1.0),
        (1.0, 0.5, 0.5),
        (0.5, 0.5, 0.0),
        (1e6, 1.0, 0.0),  # down to the best constant from far above it: no cure
        (math.inf, 1.0, 0.0),
        (math.inf, 0.0, 1.0),
        (1e6, 0.5, 0.5),
        (1e6, 1e5, 0.0),  # still worse than a constant
        (5.0, 5.0, 0.0),
        (math.inf, math.inf, 0.0),
        (0.2, math.inf, -1.0),
        (0.2, math.nan, -1.0),
        (0.0, 1e9, -1.0),
        (0.5, -0.5, 2 / 3),  # lower than anything known before
    ],
)
def test_a_gain_is_the_share_of_the_span_that_is_closed(before: float, after: float, gain: float) -> None:
    assert GAUGE.gain(scores(before), scores(after)) == pytest.approx(gain)


def test_what_only_memorises_gains_nothing() -> None:
    assert GAUGE.gain(scores(1.0, 1.0), scores(0.0, 1.0)) == 0.0
    assert GAUGE.gain(scores(1.0, 0.8), scores(0.0, 1.0)) < 0.0


def test_each_aim_looks_at_its_own_split() -> None:
    before, after = scores(0.1, 0.9, 0.9), scores(0.5, 0.4, 0.9)
    assert Gauge(comparison(1.0), Aim.HELD_OUT, True).gain(before, after) == pytest.approx(0.5)
    assert Gauge(comparison(1.0), Aim.TEST, True).gain(before, after) == 0.0
    assert Gauge(comparison(1.0), Aim.TEST, True).gain(scores(0.1), scores(0.0)) == 0.0


def test_coming_down_to_the_constant_on_new_samples_undoes_the_harm_of_what_was_learnt_by_heart() -> None:
    nothing_lower = comparison(8.0, reached=0.98)
    gauge = Gauge(nothing_lower, Aim.HELD_OUT, by_loss=True)
    assert gauge.gain(scores(0.0, 8.0), scores(0.5, 1.05)) == 1.0
    assert gauge.gain(scores(0.0, 1.4), scores(0.5, 1.05)) == pytest.approx(0.35)
    assert gauge.gain(scores(0.0, 8.0), scores(0.5, 3.0)) == 0.0, "still worse than a constant"
    assert gauge.gain(scores(0.0, 1.05), scores(0.5, 1.0)) == 0.0, "it was hardly worse than a constant"
    assert gauge.gain(scores(2.0, 8.0), scores(1.0, 1.0)) == 0.0, "it has learnt nothing by heart"
    assert Gauge(nothing_lower, Aim.TRAINING, by_loss=True).gain(scores(0.0, 8.0), scores(0.5, 1.05)) <= 0.0
    within_reach = Gauge(comparison(8.0, reached=0.5), Aim.HELD_OUT, by_loss=True)
    assert within_reach.gain(scores(0.0, 8.0), scores(0.5, 1.05)) == 0.0, "new samples can be told from each other"


def test_a_loss_below_its_floor_is_no_gain() -> None:
    known = replace(comparison(2.0, reached=0.1), floor=0.0)
    wrong = Scores(split(-1e6, 0.9), split(-1e6, 0.9), None)
    gauge = Gauge(known, Aim.TRAINING, by_loss=True)
    assert gauge.gain(Scores(split(math.inf, 0.9), split(math.inf, 0.9), None), wrong) == 0.0
    assert gauge.height(wrong) == pytest.approx(0.9)
    assert Gauge(comparison(2.0), Aim.TRAINING, by_loss=True).gain(scores(2.0), scores(-1.0)) > 0.0


def test_height_counts_what_lies_above_the_constant_on_either_split() -> None:
    gauge = Gauge(comparison(1000.0), Aim.TRAINING, by_loss=True)
    assert gauge.height(scores(1000.0)) == pytest.approx(1000.0)
    assert gauge.height(scores(0.2, held_out=5.0)) == pytest.approx(5.0)
    assert gauge.height(scores(math.nan)) == math.inf
    assert gauge.gain(scores(1000.0), scores(1.5)) == 0.0  # which cures nothing


def test_where_losses_do_not_compare_the_error_does() -> None:
    gauge = Gauge(comparison(1.0), Aim.TRAINING, by_loss=False)
    before = Scores(split(1.0, 0.9), split(1.0, 0.9), None)
    after = Scores(split(50.0, 0.1), split(50.0, 0.2), None)
    assert gauge.gain(before, after) == pytest.approx(0.7)
    assert (gauge.score, gauge.number(after)) == ("training error", 0.1)


@pytest.mark.parametrize("known", [None, Comparison(math.nan, math.nan, None, scores(math.nan), ())])
def test_without_a_yardstick_a_hair_is_no_cure(known: Comparison | None) -> None:
    gauge = Gauge(known, Aim.TRAINING, by_loss=True)
    assert 0.0 < gauge.gain(scores(5.0), scores(4.99)) < 0.01
    assert 0.0 < gauge.gain(scores(-5.0), scores(-5.01)) < 0.01
    assert gauge.gain(scores(5.0), scores(0.5)) == pytest.approx(0.9)
    assert gauge.gain(scores(5.0), scores(6.0)) < 0.0
    assert gauge.closed([(scores(5.0), scores(4.99))]) is None


@drawn(st.floats(), st.floats(), st.floats(), st.floats())
def test_a_gain_is_always_a_number_from_minus_1_to_1(old: float, new: float, reached: float, constant: float) -> None:
    known = comparison(old, reached, constant)
    assert -1.0 <= Gauge(known, Aim.TRAINING, True).gain(scores(old), scores(new)) <= 1.0
    assert -1.0 <= Gauge(None, Aim.TRAINING, True).gain(scores(old), scores(new)) <= 1.0


@drawn(st.floats(), st.floats(), st.floats())
def test_the_same_again_gains_nothing(loss: float, reached: float, constant: float) -> None:
    same = scores(math.inf if math.isnan(loss) else loss)
    assert Gauge(comparison(loss, reached, constant), Aim.TRAINING, True).gain(same, same) == 0.0


@pytest.mark.parametrize(
    ("pairs", "share"),
    [([(0.5, 0.0)], 1.0), ([(0.5, 0.25)], 0.5), ([(1.0, 0.5), (1.0, 0.0)], 0.75), ([(math.inf, 0.2)], 1.0)],
)
def test_closed_is_the_share_of_the_shortfall(pairs: list[tuple[float, float]], share: float) -> None:
    assert GAUGE.closed([(scores(old), scores(new)) for old, new in pairs]) == pytest.approx(share)


class Table:
    """A laboratory whose results are written down: one loss for each set-up and seed."""

    exhausted = False
    steps, whole = None, None

    def __init__(self, losses: Mapping[tuple[int, int], float], given: Setup, width: int = 1) -> None:
        self.prepared, self.losses, self.width = prepared(given), losses, width
        self.asked: list[tuple[int, int]] = []

    def at_once(self, setups: Sequence[Setup]) -> int:
        return self.width

    def attempt(self, setup: Setup, seed: int) -> Attempt:
        result = self.attempt_all([(setup, seed)])[0]
        assert isinstance(result, Attempt)
        return result

    def attempt_all(self, wanted: Sequence[tuple[Setup, int]]) -> list[Attempt | UnstuckError]:
        return [self._one(setup, seed) for setup, seed in wanted]

    def _one(self, setup: Setup, seed: int) -> Attempt | UnstuckError:
        number = int(setup.described.get("number", "0"))
        self.asked.append((number, seed))
        loss = self.losses.get((number, seed))
        return UnstuckError("it fell over") if loss is None else Attempt(_run(seed), scores(loss))


@cache
def _run(seed: int) -> Run:
    return fit(line(), seed=seed, steps=2)


def tried(losses: Mapping[tuple[int, int], float], candidates: int = 1, width: int = 1) -> tuple[Tried, Table]:
    """Try changes 1, 2, … of a set-up, 0, whose losses by number and seed are given."""
    given = line()
    table = Table(losses, given, width)
    changed = [replace(given, described={**given.described, "number": str(n + 1)}) for n in range(candidates)]
    known = comparison(losses.get((0, 0), 1.0))
    return trial(cast(Laboratory, table), known, rule("OPT001", lambda: ()), changed), table


def alike(*losses: float | None, seeds: int = MORE_SEEDS) -> dict[tuple[int, int], float]:
    """The same loss from every seed."""
    return {(n, seed): loss for n, loss in enumerate(losses) if loss is not None for seed in range(seeds)}


@pytest.mark.parametrize(
    ("losses", "kept"),
    [
        ((1.0, 0.1, 0.05), 0),  # the second gains more, but next to nothing more
        ((1.0, 0.7, 0.1), 1),
        ((1.0, 0.5, 0.15, 0.1), 1),
        ((1.0, 1.4, 1.2), 1),  # all do harm
        ((1.0, None, 0.1), 1),  # the first cannot be trained
    ],
)
def test_the_smallest_change_that_does_nearly_as_well_is_kept(losses: tuple[float | None, ...], kept: int) -> None:
    result, _ = tried(alike(*losses), len(losses) - 1)
    assert result.path == (("OPT001", kept),)


def test_every_change_that_was_screened_is_told_best_first() -> None:
    result, _ = tried(alike(1.0, 0.7, None, 0.1), 3)
    assert [candidate.score for candidate in result.trial.candidates] == [0.1, 0.7]
    assert [dict((c.field, c.after) for c in each.changes)["number"] for each in result.trial.candidates] == ["3", "1"]
    alone, _ = tried(alike(1.0, 0.1), 1)
    assert alone.trial.candidates == ()


def test_changes_of_the_held_out_loss_share_one_yardstick() -> None:
    gauge = Gauge(comparison(2.0, 1.5), Aim.HELD_OUT, by_loss=True)  # nothing known lies below the constant, 1
    before, good, better = (scores(0.1, loss) for loss in (2.0, 0.9, 0.5))
    assert gauge.gain(before, better) == gauge.gain(before, good) == 1.0
    gauge.note([good, better])
    assert gauge.gain(before, better) == 1.0
    assert gauge.gain(before, good) == pytest.approx(0.2)


LUCKY = {(1, 0): 0.01, (1, 1): 0.9, (1, 2): 0.8, (1, 3): 0.9, (1, 4): 0.9}
"""A change that does well from the first seed only."""


def test_a_change_that_was_lucky_once_gives_way_to_a_safer_one() -> None:
    result, _ = tried(alike(1.0, None, 0.05, 0.05) | LUCKY, 3)
    assert result.path == (("OPT001", 1),)
    assert result.trial.outcome is Outcome.PRESENT


def test_where_none_is_safer_the_lucky_one_stays_open() -> None:
    result, _ = tried(alike(1.0, None, 0.99) | LUCKY, 2)
    assert result.path == (("OPT001", 0),)
    assert result.trial.outcome is Outcome.UNDECIDED


def test_a_larger_change_that_does_not_run_costs_nothing() -> None:
    result, _ = tried(alike(1.0, None, None) | LUCKY, 2)
    assert result.path == (("OPT001", 0),)


def test_a_proof_is_worth_more_than_a_promise() -> None:
    losses = alike(1.0, 0.3) | {(1, 0): 0.01} | {(2, 0): 0.0}  # the second cannot be run from other seeds
    result, _ = tried(losses, 2)
    assert result.path == (("OPT001", 0),)
    assert result.trial.outcome is Outcome.PRESENT


def test_larger_changes_are_not_tried_once_nothing_falls_short() -> None:
    _, table = tried(alike(1.0, 0.5, 0.01, 0.0), 3)
    assert {number for number, _ in table.asked} == {0, 1, 2}


def test_larger_changes_are_looked_at_where_they_were_trained_along() -> None:
    _, table = tried(alike(1.0, 0.5, 0.01, 0.0), 3, width=3)
    assert {number for number, _ in table.asked} == {0, 1, 2, 3}


def test_control_and_remedy_run_from_the_same_seeds() -> None:
    losses = {(0, 0): 1.0, (0, 1): 0.9, (0, 2): 0.8, (1, 0): 0.1, (1, 1): 0.2, (1, 2): 0.1}
    result, table = tried(losses)
    record = result.trial
    assert record.seeds == tuple(range(SEEDS))
    assert (record.before, record.after) == ((1.0, 0.9, 0.8), (0.1, 0.2, 0.1))
    assert record.outcome is Outcome.PRESENT
    assert record.gain.value == pytest.approx((0.9 + 0.7 + 0.7) / 3)
    assert record.gain.low is not None and 0.0 < record.gain.low < record.gain.value
    assert {seed for number, seed in table.asked if number == 0} == {seed for _, seed in table.asked}
    assert record.note == ""


def test_a_hopeless_first_seed_is_enough() -> None:
    result, table = tried(alike(1.0, 0.98))
    assert result.trial.outcome is Outcome.ABSENT
    assert {seed for _, seed in table.asked} == {0}


def test_more_seeds_are_run_while_it_is_open() -> None:
    losses = alike(1.0) | {(1, seed): loss for seed, loss in enumerate((0.1, 0.9, 0.95, 0.1, 0.9))}
    result, _ = tried(losses)
    assert result.trial.seeds == tuple(range(MORE_SEEDS))
    assert result.trial.outcome is Outcome.UNDECIDED


def test_a_seed_that_could_not_be_run_is_left_out_and_said() -> None:
    losses = alike(1.0, 0.1)
    del losses[1, 1]
    result, _ = tried(losses)
    assert result.trial.seeds == (0, 2)
    assert "2 of 3 seeds" in result.trial.note and "it fell over" in result.trial.note


def test_a_fourth_seed_that_could_not_be_run_is_said_too() -> None:
    losses = alike(1.0, seeds=3) | {(1, 0): 0.1, (1, 1): 0.9, (1, 2): 0.95}
    assert "3 of 4 seeds" in tried(losses)[0].trial.note


@pytest.mark.parametrize("losses", [alike(1.0), alike(None, 0.1)])
def test_what_cannot_be_trained_stays_open_and_says_why(losses: dict[tuple[int, int], float]) -> None:
    result, _ = tried(losses)
    assert result.trial.outcome is Outcome.UNDECIDED
    assert "it fell over" in result.trial.note
    assert result.path == () and result.after is None


def test_a_remedy_that_changes_a_loss_that_nothing_else_measures_is_not_refuted() -> None:
    given = line()
    table = Table(alike(math.inf, 0.2), given)
    other = replace(given, loss=lambda outputs, targets: (outputs - targets).abs().mean())
    changed = replace(other, described={**given.described, "number": "1"})
    result = trial(cast(Laboratory, table), comparison(math.inf), rule("OPT020", lambda: ()), [changed])
    assert result.trial.outcome is Outcome.UNDECIDED
    assert result.trial.note == NO_SCALE and result.trial.seeds == ()


@pytest.mark.parametrize("raised", [ValueError("no"), ZeroDivisionError(), UnstuckError("no"), RemedyError("no")])
def test_a_broken_remedy_is_a_remedy_that_does_not_apply(raised: Exception) -> None:
    def broken(setup: Setup) -> Setup:
        raise raised

    with pytest.raises(RemedyError):
        apply_remedy(rule("OPT001", broken), Examination(None), line())


def test_a_remedy_gives_one_set_up_or_several() -> None:
    def both(setup: Setup) -> tuple[Setup, ...]:
        return setup, with_rate(2.0)(setup)

    def nothing(setup: Setup) -> tuple[Setup, ...]:
        return ()

    given = line()
    assert len(apply_remedy(rule("OPT001", with_rate(2.0)), Examination(None), given)) == 1
    assert apply_remedy(rule("OPT001", both), Examination(None), given)[0] is given
    with pytest.raises(RemedyError, match="nothing"):
        apply_remedy(rule("OPT001", nothing), Examination(None), given)


def test_a_remedy_that_needs_what_was_not_measured_does_not_apply() -> None:
    def needs(setup: Setup, run: Comparison) -> Setup:
        raise AssertionError("must not be reached")

    with pytest.raises(RemedyError, match="Comparison"):
        apply_remedy(rule("OPT001", needs), Examination(None), line())


def test_enough_is_a_fifth_of_what_counts_as_large() -> None:
    known = comparison(1.0)
    assert GAUGE.is_enough(known, scores(0.2 * LARGE.value - 0.001), 0.9)
    assert not GAUGE.is_enough(known, scores(0.2 * LARGE.value + 0.001), 0.9)
    assert not GAUGE.is_enough(known, scores(0.0), 0.05)
    assert not Gauge(known, Aim.HELD_OUT, True).is_enough(known, scores(0.0), 0.9)
