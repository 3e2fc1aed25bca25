"""The course of the rate, the memory of momentum, and the race of optimizers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, StepLR

from tests.tiny import line
from unstuck import patients
from unstuck.examine import Examination
from unstuck.loop import RunRecord
from unstuck.measure.momentum import Momentum
from unstuck.measure.optimizer_race import ADAM, MOMENTUM, race, with_rival
from unstuck.measure.preparation import Allowance
from unstuck.measure.rate_course import RateCourse, rate_course_of
from unstuck.rules.momentum import with_momentum
from unstuck.setup import Setup


def record(rates: list[float], losses: list[float] | None = None, validation: tuple[float, ...] = ()) -> RunRecord:
    given = losses or [1.0] * len(rates)
    return RunRecord(0, tuple(given), tuple(rates), (), validation, (), (), "finished", 1.0, 1)


def test_a_constant_rate_is_full_to_the_end() -> None:
    found = rate_course_of(record([0.3] * 50))
    assert found.full_share == pytest.approx(1.0)
    assert (found.first, found.last, found.dwindled_at) == (1.0, 1.0, -1)
    assert found.is_constant_late


def test_drops_by_ten_add_up_to_a_geometric_series() -> None:
    found = rate_course_of(record([0.5 * 0.1 ** (step // 5) for step in range(100)]))
    assert found.full_steps == pytest.approx(5 / 0.9)
    assert found.dwindled_at == 15, "the third stretch is at a hundredth, not below it"


def test_the_bounce_is_that_of_the_validation_loss() -> None:
    jumping = tuple(1.0 + 0.2 * (-1) ** epoch for epoch in range(40))
    falling = tuple(1.0 - 0.02 * epoch for epoch in range(40))
    assert rate_course_of(record([1.0] * 40, validation=jumping)).bounce > 0.15
    assert rate_course_of(record([1.0] * 40, validation=falling)).bounce == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("rates", [[], [math.nan] * 5, [0.0] * 5])
def test_rates_that_say_nothing(rates: list[float]) -> None:
    assert not rate_course_of(record(rates)).full_share > 0.0


def measured(setup: Setup, kind: Any) -> Any:
    examination = Examination(setup)
    examination.put(Allowance(10.0))
    return examination.get(kind)


def test_schedules_of_a_real_run() -> None:
    cosine = measured(
        patients.shells(epochs=10, scheduler=lambda optimizer: CosineAnnealingLR(optimizer, 10)), RateCourse
    )
    assert cosine.full_share == pytest.approx(0.55, abs=0.02)
    steps = measured(patients.shells(epochs=10, scheduler=lambda optimizer: StepLR(optimizer, 5, 0.2)), RateCourse)
    assert steps.full_share == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("optimizer", "value"),
    [
        (patients.adam(), 0.9),
        (patients.sgd(0.1), 0.0),
        (patients.sgd(0.1, 0.99), 0.99),
        (lambda parameters: torch.optim.AdamW(parameters, 0.1, betas=(0.95, 0.99)), 0.95),
    ],
)
def test_momentum_is_read_from_any_optimizer(optimizer: Any, value: float) -> None:
    found = measured(patients.shells(optimizer=optimizer), Momentum)
    assert found.value == pytest.approx(value) and found.steps == 200
    assert found.memory == pytest.approx(1.0 / (1.0 - value))
    changed = measured(with_momentum(patients.shells(optimizer=optimizer), 0.5), Momentum)
    assert changed.value == 0.5


def test_an_optimizer_without_momentum() -> None:
    adagrad = patients.shells(optimizer=lambda parameters: torch.optim.Adagrad(parameters, 0.1))
    assert math.isnan(measured(adagrad, Momentum).value)


def test_a_wrong_rate_does_not_lose_the_race() -> None:
    found = race(line(rate=1e-5), steps=40)
    assert found.given.rate > 1e2 and found.excess < 0.1
    assert [rival.name for rival in found.rivals] == [MOMENTUM, ADAM]


def test_steps_that_die_out_lose_it_at_every_rate() -> None:
    """Adagrad whose rate falls as 1 / t from the first step on moves no further than log t."""
    dying = line(optimizer=lambda parameters: torch.optim.Adagrad(parameters, 1e-3, lr_decay=1e6), epochs=10)
    found = race(dying, steps=40)
    assert found.excess >= 0.3 and found.excess_low > 0.2


def test_a_rival_keeps_the_decay_of_the_weights() -> None:
    given = line(optimizer=lambda parameters: torch.optim.Adagrad(parameters, 0.1, weight_decay=0.02))
    _, optimizer = with_rival(given, ADAM, 1e-3).build()
    assert isinstance(optimizer, torch.optim.Adam)
    assert optimizer.param_groups[0]["weight_decay"] == 0.02 and optimizer.param_groups[0]["lr"] == 1e-3
