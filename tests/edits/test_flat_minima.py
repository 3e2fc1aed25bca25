"""Sharpness-aware steps: the gradient of the worst point nearby, from the weights as they were."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import unstuck
from unstuck import patients
from unstuck.edits.flat_minima import with_sharpness_aware_steps
from unstuck.errors import RemedyError
from unstuck.loop.stages import take_step
from unstuck.setup import Setup


def line(radius: float | None) -> Setup:
    setup = Setup.of(
        model=lambda: nn.Linear(1, 1, bias=False),
        loss=nn.MSELoss(),
        optimizer=patients.sgd(0.1),
        train=(torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [1.0]])),
        epochs=1,
        batch_size=2,
    )
    return setup if radius is None else with_sharpness_aware_steps(setup, radius)


def step(setup: Setup, weight: float) -> tuple[float, float]:
    own, model, optimizer = setup.fresh()
    with torch.no_grad():
        model.get_parameter("weight").fill_(weight)
    loss = take_step(own, model, optimizer, own.train.head(2)[0])
    return float(loss), float(model.get_parameter("weight").detach())


def test_a_step_is_that_of_the_formula() -> None:
    def slope(weight: float) -> float:
        return (weight - 3.0) + 2.0 * (2.0 * weight - 1.0)

    loss, after = step(line(0.1), 2.0)
    worst = 2.0 + 0.1 * 2.0  # the slope at 2 is positive
    assert loss == pytest.approx(((2.0 - 3.0) ** 2 + (4.0 - 1.0) ** 2) / 2)
    assert after == pytest.approx(2.0 - 0.1 * slope(worst))


def test_no_radius_is_the_plain_step() -> None:
    assert step(line(0.0), 2.0) == pytest.approx(step(line(None), 2.0))


def test_minima_are_flatter_and_the_users_step_is_refused() -> None:
    sick = patients.shells(wrong=0.35, rows=80, epochs=60)
    losses = []
    for setup in (sick, with_sharpness_aware_steps(sick, 0.1)):
        model = unstuck.fit(setup).model
        assert setup.validation is not None
        losses.append(unstuck.loop.evaluate(setup, model, setup.validation).loss)
    assert losses[1] < losses[0]
    with pytest.raises(RemedyError, match="brings its own"):
        with_sharpness_aware_steps(line(0.1), 0.1)
