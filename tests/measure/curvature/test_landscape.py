"""The landscape: its values are the loss's own, its plane is the path's, and nothing is moved by looking."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from unstuck import Setup
from unstuck.examine import Examination
from unstuck.loop import fit
from unstuck.loop.trail import TrailKeeper, place_of
from unstuck.measure.curvature.landscape import Landscape, principal_plane
from unstuck.measure.preparation import Allowance, Trained
from unstuck.measure.protocol import Unmeasured


def two_weights(rate: float = 0.05, epochs: int = 10) -> Setup:
    """A least-squares problem with two weights, whose loss is a bowl that is known in closed form."""
    draws = torch.Generator().manual_seed(0)
    inputs = torch.randn(64, 2, generator=draws)
    targets = inputs @ torch.tensor([[2.0], [-1.0]])
    return Setup.of(
        model=lambda: nn.Linear(2, 1, bias=False),
        loss=nn.MSELoss(),
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=rate),
        train=(inputs, targets),
        batch_size=16,
        epochs=epochs,
    )


def measured(setup: Setup) -> Landscape:
    examination = Examination(setup)
    examination.put(Allowance(60.0))
    found = examination.get(Landscape)
    assert isinstance(found, Landscape), found
    return found


def test_the_values_are_those_of_the_loss_and_the_path_goes_down_to_the_end() -> None:
    found = measured(two_weights())
    row = min(range(len(found.up)), key=lambda place: abs(found.up[place]))
    column = min(range(len(found.across)), key=lambda place: abs(found.across[place]))
    assert found.losses[row][column] == pytest.approx(min(map(min, found.losses)), abs=0.2)
    assert found.path[-1][1:] == (0.0, 0.0)
    distances = [math.hypot(x, y) for _, x, y in found.path]
    assert distances[0] == max(distances) and found.explained == pytest.approx(1.0)  # two weights make a plane
    assert len(found.losses) == len(found.up) and len(found.losses[0]) == len(found.across)
    for line in found.lines:  # a bowl: at the end of the run it is lowest, and rises to both sides
        assert line[0] > line[len(line) // 2] < line[-1]


def test_a_run_that_diverges_is_drawn_up_to_there() -> None:
    found = measured(two_weights(rate=1.1))
    assert 3 <= len(found.path) < 24
    assert all(math.isfinite(value) for row in found.losses for value in row)


def test_the_plane_holds_the_two_longest_directions() -> None:
    axes = torch.eye(5, dtype=torch.float64)
    path = torch.stack([9 * axes[3] + axes[1], 5 * axes[3] - 2 * axes[1], axes[3] + 0.1 * axes[0]])
    found, explained = principal_plane(path)
    assert found is not None and explained > 0.999
    assert (found @ found.T - torch.eye(2)).abs().max() < 1e-9
    assert found[:, [3, 1]].square().sum() == pytest.approx(2.0, abs=0.01)
    nothing, _ = principal_plane(torch.zeros(3, 5, dtype=torch.float64))
    assert nothing is None


def test_a_straight_path_gets_a_second_direction_at_right_angles() -> None:
    line = torch.arange(4, dtype=torch.float64)[:, None] * torch.ones(1, 6, dtype=torch.float64)
    found, explained = principal_plane(line)
    assert found is not None and explained == pytest.approx(1.0)
    assert abs(float(found[0] @ found[1])) < 1e-9


def test_a_trail_ends_where_it_would_not_fit_and_watching_keeps_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unstuck.loop.trail.MEMORY", 2 * 24 * 4 - 1)
    run = fit(two_weights(), watched=True)
    assert run.trail.weights == ()
    examination = Examination(two_weights())
    examination.put(Allowance(60.0))
    found = examination.get(Landscape)
    assert isinstance(found, Unmeasured) and "too many" in found.reason
    monkeypatch.undo()
    watched, plain = fit(two_weights(), watched=True), fit(two_weights())
    assert (
        watched.losses == plain.losses
        and len(watched.trail.weights) == len(watched.record.sampled_steps)
        and not plain.trail.weights
    )


def test_nothing_moves_by_looking() -> None:
    setup = two_weights()
    examination = Examination(setup)
    examination.put(Allowance(60.0))
    trained = examination.get(Trained)
    assert isinstance(trained, Trained)
    before = place_of(trained.run.model)
    state = torch.get_rng_state()
    examination.get(Landscape)
    after = place_of(trained.run.model)
    assert before is not None and after is not None and torch.equal(before, after)
    assert torch.equal(state, torch.get_rng_state())


def test_what_has_no_weights_leaves_no_trail() -> None:
    keeper = TrailKeeper(3)
    keeper.note(0, nn.Identity())
    keeper.note(0, nn.LazyLinear(2))
    assert keeper.trail().weights == ()
