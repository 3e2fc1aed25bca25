"""The pace that an optimizer keeps over a run, apart from its rate and its gradients."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch.optim.lr_scheduler import ExponentialLR

from unstuck import patients
from unstuck.examine import Examination
from unstuck.loop import RunRecord
from unstuck.loop.record import LayerTrace
from unstuck.measure.course import DIED_OUT, Course, pace_kept
from unstuck.measure.preparation import Allowance
from unstuck.report import Outcome
from unstuck.rules.learning_rate_too_low import judge
from unstuck.setup import Setup

STEPS = 20


def recorded(rates: list[float], gradients: list[float], updates: list[float]) -> RunRecord:
    layer = LayerTrace("0", "Linear", 0, tuple(gradients), (1.0,) * STEPS, tuple(updates))
    steps = tuple(range(STEPS))
    return RunRecord(0, (1.0,) * STEPS, tuple(rates), (), (), steps, (layer,), "finished", 1.0, 1)


def test_steps_that_shrink_at_the_same_rate_and_gradient_die_out() -> None:
    dying = [0.1 / (1 + step) ** 1.5 for step in range(STEPS)]
    assert pace_kept(recorded([0.1] * STEPS, [2.0] * STEPS, dying)) < DIED_OUT.value


@pytest.mark.parametrize(
    ("rates", "gradients", "updates"),
    [
        pytest.param(
            [0.1] * STEPS, [0.5**step for step in range(STEPS)], [0.5**step for step in range(STEPS)], id="sgd"
        ),
        pytest.param([0.1] * STEPS, [2.0**step for step in range(STEPS)], [0.1] * STEPS, id="scaled steps"),
        pytest.param(
            [0.9**step for step in range(STEPS)], [1.0] * STEPS, [0.9**step for step in range(STEPS)], id="schedule"
        ),
    ],
)
def test_what_gradients_or_a_schedule_do_is_not_the_optimizers(
    rates: list[float], gradients: list[float], updates: list[float]
) -> None:
    assert pace_kept(recorded(rates, gradients, updates)) == pytest.approx(1.0)


def test_steps_at_next_to_no_rate_tell_nothing() -> None:
    rates = [1.0] * 12 + [1e-9] * 8  # the updates of the last ones are lost in rounding
    assert pace_kept(recorded(rates, [1.0] * STEPS, [1.0] * 12 + [0.0] * 8)) == pytest.approx(1.0)


def test_what_was_hardly_watched_tells_nothing() -> None:
    empty = RunRecord(0, (1.0,) * STEPS, (0.1,) * STEPS, (), (), (), (), "finished", 1.0, 1)
    assert not pace_kept(empty) > 0.0


def course(setup: Setup) -> Course:
    examination = Examination(setup)
    examination.put(Allowance(10.0))
    return examination.get(Course)


def test_an_optimizer_whose_steps_die_out_is_not_a_rate_that_is_too_low() -> None:
    adagrad = course(patients.shells(optimizer=partial(torch.optim.Adagrad, lr=0.01, lr_decay=1.0)))
    verdict = judge(adagrad)
    assert adagrad.died_out
    assert verdict.outcome is Outcome.ABSENT and "died out" in verdict.sentence


def test_a_rate_that_is_too_low_is_so_under_a_schedule_as_well() -> None:
    slow = course(
        patients.shells(optimizer=patients.adam(3e-5), scheduler=lambda optimizer: ExponentialLR(optimizer, 0.9))
    )
    assert not slow.died_out
    assert judge(slow).outcome is Outcome.PRESENT
