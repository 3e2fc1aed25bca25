"""The laboratory trains each set-up and seed once, fairly, and falls back where it cannot do so at once."""

from __future__ import annotations

import math
import pickle
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.tiny import line, prepared, shifted, with_rate
from unstuck import laboratory as module
from unstuck.errors import UnstuckError
from unstuck.laboratory import Attempt, Laboratory, affordable_steps
from unstuck.loop import Run, fit
from unstuck.measure.scores import scores_of
from unstuck.setup import Setup


def kept(
    setup: Setup, steps: int | None = None, stopped: str = "", short: int | None = None, **options: Any
) -> Laboratory:
    """A laboratory that knows the run as given, perhaps cut short."""
    lab = Laboratory(prepared(setup), None, **options)
    run = fit(setup, steps=steps)
    if stopped:
        run = replace(run, record=replace(run.record, stopped=stopped))
    lab.keep(run, scores_of(lab.prepared, None, setup, run.model), short)
    return lab


def trained(lab: Laboratory, setup: Setup, seed: int = 0) -> Run:
    return lab.attempt(setup, seed).run


def test_each_set_up_and_seed_is_trained_once() -> None:
    given = line()
    lab, changed = kept(given), with_rate(0.5)(given)
    first = lab.attempt(changed, 0)
    assert lab.attempt(changed, 0) is first
    assert lab.attempt(changed, 1) is not first
    assert lab.trainings == 2


def test_the_run_as_given_is_not_trained_again() -> None:
    given = line()
    lab = kept(given)
    assert trained(lab, given).losses == fit(given).losses
    assert lab.trainings == 0


def test_the_same_seed_means_the_same_start_and_the_same_batches() -> None:
    given = line()
    lab, unmoved = kept(given), with_rate(1e-9)(given)
    control, changed = trained(lab, given, 5), trained(lab, unmoved, 5)
    assert control.losses[0] == changed.losses[0]
    assert control.losses == fit(given, seed=5).losses
    assert changed.losses == fit(unmoved, seed=5).losses
    assert changed.losses != fit(unmoved, seed=6).losses


def test_another_test_split_is_scored_but_not_trained_again() -> None:
    given = line()
    lab, other = kept(given), shifted(lambda values: values + 5.0)(given)
    before, after = lab.attempt(given, 0), lab.attempt(other, 0)
    assert lab.trainings == 0
    assert after.run is before.run
    assert after.scores.training == before.scores.training
    assert before.scores.test is not None and after.scores.test is not None
    assert after.scores.test.loss > before.scores.test.loss + 1.0
    lab.attempt(other, 1), lab.attempt(given, 1)
    assert lab.trainings == 1


def test_a_test_split_that_cannot_be_scored_is_a_failure_not_a_crash() -> None:
    given = line()
    broken = replace(given, test=line(test=(torch.zeros(4, 7), torch.zeros(4, 1))).test)
    assert isinstance(kept(given).attempt_all([(broken, 0)])[0], UnstuckError)


def test_what_differs_in_anything_else_is_trained() -> None:
    given = line()
    lab = kept(given)
    for other in (replace(given, epochs=4), with_rate(1.0)(given), replace(given, loss=nn.L1Loss())):
        lab.attempt(other, 0)
    assert lab.trainings == 3


def test_all_runs_are_cut_to_a_control_that_time_cut_short() -> None:
    given = line()
    lab = kept(given, steps=7, stopped="time")
    assert len(trained(lab, replace(given, epochs=50)).losses) == 7
    assert len(trained(lab, given, 1).losses) == 7


def test_a_longer_training_is_one_where_the_control_ran_in_full() -> None:
    given = line()
    assert len(trained(kept(given), replace(given, epochs=10)).losses) == 80


def test_shortened_runs_are_compared_with_a_control_that_is_as_short() -> None:
    given = line()
    lab = kept(given, short=16)
    control, changed = trained(lab, given), trained(lab, with_rate(0.5)(given))
    assert len(control.losses) == len(changed.losses) == 16
    assert lab.whole is not None and len(lab.whole.run.losses) == 40


def test_a_run_that_ended_before_the_cut_is_its_own_control() -> None:
    given = line()
    lab = kept(given, steps=8, stopped="non-finite", short=16)
    assert len(trained(lab, given).losses) == 8 and lab.whole is None
    assert len(trained(lab, with_rate(0.5)(given)).losses) == 16


@pytest.mark.parametrize(
    ("seconds", "stopped", "steps", "left", "expected"),
    [
        (1.0, "", 40, 100.0, None),
        (1.0, "", 40, 12.5, None),  # eight tenths of it are spent on ten runs
        (1.0, "", 40, 10.0, 32),
        (1.0, "", 40, 0.1, 5),  # an eighth at least
        (1.0, "time", 20, 5.0, 8),
        (1.0, "non-finite", 20, 10.0, 16),  # a run to the end would take twice as long
    ],
)
def test_runs_are_cut_to_what_the_time_left_allows(
    seconds: float, stopped: str, steps: int, left: float, expected: int | None
) -> None:
    run = fit(line(), steps=steps)
    run = replace(run, record=replace(run.record, stopped=stopped, seconds=seconds))
    assert affordable_steps(run, 2, left) == expected


class Slow(nn.Module):
    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.body, self.seconds = nn.Linear(1, 1), seconds

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            time.sleep(self.seconds)
        outputs: Tensor = self.body(inputs)
        return outputs


def test_a_run_that_time_cut_shorter_than_its_control_is_no_fair_match() -> None:
    given = line()
    lab = kept(given, run_seconds=0.02)
    result = lab.attempt_all([(line(model=lambda: Slow(0.2)), 0)])[0]
    assert isinstance(result, UnstuckError)
    assert "of the 40 steps" in str(result)


def test_as_long_as_the_control_is_always_allowed() -> None:
    given = line(model=lambda: Slow(0.002))
    lab = kept(given, run_seconds=0.001)  # what "3x" makes of a long run
    assert len(trained(lab, given, 1).losses) == 40


def test_a_slow_run_that_did_more_steps_than_its_control_counts() -> None:
    given = line()
    lab = kept(given, steps=8, run_seconds=0.2)
    result = lab.attempt_all([(line(model=lambda: Slow(0.01), epochs=100), 0)])[0]
    assert isinstance(result, Attempt)
    assert result.run.record.stopped == "time" and len(result.run.losses) > 8


def test_nothing_is_trained_after_the_deadline_but_what_is_known_is_recalled() -> None:
    given = line()
    lab = kept(given, deadline=time.monotonic() - 1.0)
    assert lab.exhausted
    assert isinstance(lab.attempt(given, 0), Attempt)
    with pytest.raises(UnstuckError, match="budget"):
        lab.attempt(given, 1)
    assert lab.trainings == 0


def test_a_batch_of_runs_ends_by_the_deadline() -> None:
    given = line(epochs=100_000)
    lab = Laboratory(prepared(given), None, deadline=time.monotonic() + 1.0)
    start = time.monotonic()
    lab.attempt_all([(given, seed) for seed in range(6)])
    assert lab.trainings == 6
    assert time.monotonic() - start < 3.0


def test_a_set_up_that_fails_does_not_cost_the_others() -> None:
    given = line()
    broken = line(loss=lambda outputs, targets: 1 / 0)
    found = kept(given).attempt_all([(broken, 0), (with_rate(0.5)(given), 0)])
    assert isinstance(found[0], UnstuckError) and isinstance(found[1], Attempt)


def losses(found: Sequence[Attempt | UnstuckError]) -> list[list[float]]:
    assert all(isinstance(each, Attempt) for each in found)
    return [list(each.run.losses) for each in found if isinstance(each, Attempt)]


def test_together_and_one_after_the_other_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    given = line()
    wanted = [(with_rate(factor)(given), seed) for factor in (0.1, 1.0) for seed in (0, 1)]
    together = kept(given).attempt_all(wanted)
    monkeypatch.setattr(module, "WORTH_BATCHING", math.inf)
    alone = kept(given).attempt_all(wanted)
    for one, other in zip(losses(together), losses(alone), strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    for both in zip(together, alone, strict=True):
        held_out = [each.scores.held_out.loss for each in both if isinstance(each, Attempt)]
        assert held_out[0] == pytest.approx(held_out[1], rel=1e-3)


def test_many_rates_are_tried_at_once_and_other_changes_one_by_one() -> None:
    given = line()
    lab = kept(given)
    assert lab.at_once([with_rate(factor)(given) for factor in (0.1, 0.2, 0.3, 0.4)]) == 4
    assert lab.at_once([replace(given, epochs=epochs) for epochs in (1, 2, 3, 4)]) == 1


@pytest.mark.parametrize("raised", [pickle.PicklingError, TypeError, AttributeError, OSError, RuntimeError])
def test_what_cannot_be_sent_to_another_process_is_trained_in_this_one(
    monkeypatch: pytest.MonkeyPatch, raised: type[Exception]
) -> None:
    import joblib

    started = []

    def refuse(jobs: Any) -> Any:
        started.append(1)
        raise raised("it belongs to this process")

    monkeypatch.setattr(module, "WORTH_PROCESSES", 0.0)
    monkeypatch.setattr(joblib, "Parallel", lambda **options: refuse)
    given = line()
    lab = kept(given)
    lab._processes = 2
    wanted = [(given, 1), (given, 2)]
    assert losses(lab.attempt_all(wanted)) == [list(fit(given, seed=seed).losses) for seed in (1, 2)]
    assert lab.trainings == 2
    lab.attempt_all([(given, 3), (given, 4)])
    assert len(started) == 1  # it is not tried twice


@pytest.mark.slow
@pytest.mark.parametrize("held", [None, threading.Lock()], ids=["", "a lock"])
def test_worker_processes_give_what_this_one_does(monkeypatch: pytest.MonkeyPatch, held: Any) -> None:
    monkeypatch.setattr(module, "WORTH_PROCESSES", 0.0)
    mean = nn.MSELoss()

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        value: Tensor = mean(outputs, targets)
        return value if held is None or not held.locked() else 2 * value

    given = line(loss=loss)
    lab = kept(given)
    lab._processes = 2
    wanted = [(given, 1), (given, 2)]
    assert losses(lab.attempt_all(wanted)) == [list(fit(given, seed=seed).losses) for seed in (1, 2)]
    assert lab._processes == (2 if held is None else 1)
