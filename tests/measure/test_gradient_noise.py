"""The gradient noise scale against known answers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.tiny import line
from unstuck import patients
from unstuck.examine import Examination
from unstuck.measure.gradient_noise import GradientNoise, noise_at, noise_scale
from unstuck.measure.preparation import Allowance
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import Setup


def drawn(mean: float, deviation: float, samples: int, count: int, seed: int, width: int = 40) -> Tensor:
    """Mean gradients of parts of `samples` whose own are normal: |G|² = width · mean², tr Σ = width · deviation²."""
    draws = torch.Generator().manual_seed(seed)
    noise = torch.randn(count, samples, width, generator=draws, dtype=torch.float64).mean(1)
    return mean + deviation * noise


@pytest.mark.parametrize("samples", [1, 4])
def test_both_parts_are_without_bias(samples: int) -> None:
    found = [noise_scale(drawn(0.5, 2.0, samples, 16, seed), samples) for seed in range(400)]
    ratios = [each.noise / each.signal for each in found]
    mean = sum(each.noise for each in found) / sum(each.signal for each in found)
    assert mean == pytest.approx(16.0, rel=0.15), "tr Σ / |G|² = 4 / 0.25"
    assert all(ratio == pytest.approx(each.scale) for ratio, each in zip(ratios, found, strict=True) if ratio > 0)


def test_interval_holds_the_true_scale_as_often_as_it_says() -> None:
    found = [noise_scale(drawn(1.0, 2.0, 1, 32, seed), 1) for seed in range(300)]
    held = sum(each.low <= 4.0 <= each.high for each in found) / len(found)
    assert 0.90 <= held <= 0.99


def test_no_signal_has_no_upper_end() -> None:
    found = noise_scale(drawn(0.0, 1.0, 1, 16, 0), 1)
    assert math.isinf(found.high) and found.low > 16.0


@pytest.mark.parametrize("factor", [1e-150, 1e-20, 1e150])
def test_the_scale_of_the_loss_does_not_matter(factor: float) -> None:
    gradients = drawn(0.5, 1.0, 1, 16, 3)
    once, again = noise_scale(gradients, 1), noise_scale(factor * gradients, 1)
    assert (again.scale, again.low, again.high) == pytest.approx((once.scale, once.low, once.high), rel=1e-9)


def test_too_few_or_empty_gradients_are_refused() -> None:
    with pytest.raises(NotMeasurable, match="only 3 gradients"):
        noise_scale(torch.ones(3, 2), 1)
    with pytest.raises(NotMeasurable, match="zero or no finite"):
        noise_scale(torch.zeros(9, 2), 1)


def exact(setup: Setup) -> float:
    """The scale of all 64 samples of `line`, one backward pass each."""
    with torch.random.fork_rng():
        torch.manual_seed(setup.seed)
        model, _ = setup.build()
    rows = []
    for inputs, targets in setup.train.with_batch_size(1).head(64):
        model.zero_grad()
        assert setup.loss is not None
        setup.loss(model(inputs), targets).backward()
        rows.append(torch.cat([parameter.grad.flatten() for parameter in model.parameters()]))  # type: ignore[union-attr]
    return noise_scale(torch.stack(rows), 1).scale


def test_gradients_of_samples_are_those_of_one_backward_pass_each() -> None:
    setup = line()
    found = noise_at(setup)
    assert found.samples == 1 and found.gradients == 64
    assert found.scale == pytest.approx(exact(setup), rel=1e-4)


def looped(model: nn.Module, batch: Any) -> Any:
    """Branches on a value, which cannot be batched."""
    outputs = model(batch[0])
    return outputs if float(outputs.detach().sum()) < 1e9 else outputs * 0.0


def test_parts_of_the_data_agree_with_single_samples() -> None:
    single = noise_at(patients.classification())
    parts = noise_at(patients.classification(forward=looped))
    assert single.samples == 1 and parts.samples > 1
    assert parts.low <= single.scale <= parts.high


def with_batch_norm() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


@pytest.mark.parametrize(
    "setup",
    [
        lambda: patients.classification(with_batch_norm),
        lambda: patients.bars(epochs=1),
        lambda: patients.classification(loss=nn.CrossEntropyLoss(reduction="sum"), optimizer=patients.adam(1e-3)),
    ],
    ids=["batch-norm", "convolution", "summed loss"],
)
def test_both_ends_of_a_run_are_measured_and_the_run_is_left_alone(setup: Any) -> None:
    examination = Examination(setup())
    examination.put(Allowance(10.0))
    from unstuck.measure.preparation import Trained

    trained = examination.get(Trained)
    assert isinstance(trained, Trained)
    before = {name: part.clone() for name, part in trained.run.model.state_dict().items()}
    state = torch.random.get_rng_state()
    found = examination.get(GradientNoise)
    assert isinstance(found, GradientNoise) and found.end is not None
    assert found.batch_size == 32 and found.batches_per_update == 1.0 and found.updates_per_epoch == 10.0
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(part, before[name]) for name, part in trained.run.model.state_dict().items())


def test_a_sum_of_losses_has_the_scale_of_their_mean() -> None:
    mean = noise_at(patients.classification(forward=looped))
    total = noise_at(patients.classification(forward=looped, loss=nn.CrossEntropyLoss(reduction="sum")))
    assert total.scale == pytest.approx(mean.scale, rel=1e-3)


def test_a_loss_inside_the_step_is_refused() -> None:
    setup = patients.classification()
    with pytest.raises(NotMeasurable, match="inside train_step"):
        from dataclasses import replace

        noise_at(replace(setup, loss=None))
