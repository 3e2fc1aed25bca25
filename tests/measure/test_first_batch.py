"""One batch through the untrained model, and what its outputs can ever be."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from unstuck import patients
from unstuck.measure.first_batch import FirstBatch
from unstuck.measure.first_steps import FirstSteps
from unstuck.measure.layout import Layout
from unstuck.measure.output_reach import OutputReach, on_simplex
from unstuck.measure.preparation import Prepared
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.task import Task
from unstuck.setup import Setup


def squared(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square().mean()


def absolute(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).abs().mean()


def first_batch(setup: Setup) -> FirstBatch:
    prepared = Prepared.measure(setup)
    return FirstBatch.measure(prepared, Task.measure(setup))


def reach(setup: Setup) -> OutputReach:
    prepared = Prepared.measure(setup)
    return OutputReach.measure(prepared, Task.measure(setup), Layout.measure(prepared))


@pytest.mark.parametrize("loss", [squared, absolute])
def test_a_broadcast_loss_spreads_what_one_target_does(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    found = first_batch(patients.regression(loss=loss, targets=lambda values: values.squeeze(1)))
    assert found.output_shape == (61, 1) and found.target_shape == (61,)
    assert found.broadcast_elements == 61.0
    assert found.mixing == pytest.approx(60 / 61, abs=0.05)


def test_a_loss_that_reshapes_keeps_samples_apart() -> None:
    found = first_batch(
        patients.regression(
            loss=lambda outputs, targets: squared(outputs[:, 0], targets), targets=lambda values: values.squeeze(1)
        )
    )
    assert found.broadcast_elements == 61.0 and found.mixing == 0.0


def test_shapes_that_fit_are_not_asked() -> None:
    found = first_batch(patients.regression())
    assert found.broadcast_elements == 1.0 and math.isnan(found.mixing)
    classes = first_batch(patients.classification())
    assert math.isnan(classes.broadcast_elements)  # [61, 3] and [61] do not broadcast


def test_numbers_are_those_of_the_batch() -> None:
    setup = patients.regression(targets=lambda values: 3.0 * values + 100.0)
    found = first_batch(setup)
    targets = setup.train.head(61)
    joined = torch.cat([batch[1] for batch in targets]).double()
    assert found.target_mean == pytest.approx(float(joined.mean()))
    assert found.target_spread == pytest.approx(float(joined.std(correction=0)))
    assert found.loss == pytest.approx(found.distance**2, rel=1e-5)


@pytest.mark.parametrize(
    ("last", "low", "high"),
    [
        (nn.Sigmoid(), 0.0, 1.0),
        (nn.Tanh(), -1.0, 1.0),
        (nn.Hardtanh(-3.0, 5.0), -3.0, 5.0),
        (nn.ReLU(), 0.0, math.inf),
        (None, -math.inf, math.inf),
    ],
)
def test_reach_is_that_of_the_last_activation(last: nn.Module | None, low: float, high: float) -> None:
    found = reach(patients.regression(lambda: patients.perceptron(3, 8, 1, last=last)))
    assert found.low == pytest.approx(low) if math.isfinite(low) else found.low < -1e3
    assert found.high == pytest.approx(high) if math.isfinite(high) else found.high > 1e3
    assert not found.constant


class Scaled(nn.Module):
    """An activation called as a function, and scaled by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = patients.perceptron(3, 8, 1)

    def forward(self, values: Tensor) -> Tensor:
        return 20.0 * torch.sigmoid(self.layers(values)) - 10.0


def test_reach_sees_through_functions_and_scales() -> None:
    found = reach(patients.regression(Scaled))
    assert (found.low, found.high) == (pytest.approx(-10.0), pytest.approx(10.0))
    assert found.floor == pytest.approx(0.0, abs=1e-6)


def test_a_softmax_over_one_unit_is_constant() -> None:
    found = reach(
        patients.classification(
            lambda: patients.perceptron(4, 8, 1, last=nn.Softmax(dim=1)),
            loss=nn.BCELoss(),
            targets=lambda labels: (labels > 0).float().unsqueeze(1),
        )
    )
    assert found.constant and found.low == 1.0 and found.stuck_share == 1.0


def test_floor_of_a_cross_entropy_behind_a_softmax() -> None:
    """With C classes the sharpest softmax leaves log(1 + (C − 1) / e)."""
    found = reach(patients.classification(lambda: patients.perceptron(4, 8, 3, last=nn.Softmax(dim=1))))
    assert found.sums_to_one
    assert found.floor == pytest.approx(math.log(1.0 + 2.0 / math.e), abs=1e-4)
    assert found.ideal == pytest.approx(0.0, abs=1e-4)


def test_floor_of_targets_cut_off_by_a_relu() -> None:
    setup = patients.regression(lambda: patients.perceptron(3, 8, 1, last=nn.ReLU()))
    targets = Prepared.measure(setup).setup.train.head(2000)
    below = torch.cat([batch[1] for batch in targets]).clamp_max(0.0)
    assert reach(setup).floor == pytest.approx(float(below.square().mean()), rel=1e-4)


def test_log_softmax_is_told_from_softmax() -> None:
    found = reach(
        patients.classification(lambda: patients.perceptron(4, 8, 3, last=nn.LogSoftmax(dim=1)), loss=nn.NLLLoss())
    )
    assert found.logarithms and not found.sums_to_one
    assert found.ideal == pytest.approx(0.0, abs=1e-3)


def test_nothing_to_drive_is_not_measured() -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(3, 1))

        def forward(self, values: Tensor) -> Tensor:
            return values @ self.weight

    with pytest.raises(NotMeasurable):
        reach(patients.regression(Bare))


def test_projection_on_the_simplex_is_the_closest_point() -> None:
    draws = torch.Generator().manual_seed(0)
    values = 2.0 * torch.randn(50, 4, generator=draws, dtype=torch.float64)
    closest = on_simplex(values)
    assert torch.allclose(closest.sum(1), torch.ones(50, dtype=torch.float64)) and bool((closest >= 0).all())
    others = torch.rand(2000, 1, 4, generator=draws, dtype=torch.float64).add(1e-9).log().neg()
    others = others / others.sum(-1, keepdim=True)
    assert bool(((others - values).norm(dim=-1) >= (closest - values).norm(dim=-1) - 1e-9).all())


def forgetful(model: nn.Module, optimizer: torch.optim.Optimizer, batch: tuple[Tensor, Tensor]) -> Tensor:
    loss = functional.cross_entropy(model(batch[0]), batch[1])
    loss.backward()
    optimizer.step()
    return loss


def test_uncleared_gradients_are_old_from_the_second_step_on() -> None:
    found = FirstSteps.measure(Prepared.measure(patients.classification(train_step=forgetful)))
    assert found.calls == found.steps == 5
    assert found.stale_shares[0] == pytest.approx(0.0, abs=1e-5) and min(found.stale_shares[1:]) > 0.1


def test_gradients_added_up_on_purpose_are_not_old() -> None:
    def adding_up(model: nn.Module, optimizer: torch.optim.Optimizer, batch: tuple[Tensor, Tensor]) -> Tensor:
        group = optimizer.param_groups[0]
        group["batches"] = group.get("batches", 0) + 1
        loss = functional.cross_entropy(model(batch[0]), batch[1])
        loss.backward()
        if group["batches"] % 3 == 0:
            optimizer.step()
            optimizer.zero_grad()
        return loss

    found = FirstSteps.measure(Prepared.measure(patients.classification(train_step=adding_up)))
    assert found.calls == 3 * found.steps
    assert max(found.stale_shares) < 1e-4
