"""Targets that stand some places off, and the order that brings them back."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.measure.programs import blobs, generator, setup_of
from unstuck.measure.alignment import ALIVE, Alignment, _gaussian, realigned
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import Setup


def of(inputs: Tensor, targets: Tensor) -> Alignment:
    return Alignment.measure(classes(inputs, targets))


def classes(inputs: Tensor, targets: Tensor) -> Setup:
    return setup_of(lambda: nn.Linear(6, 4), nn.CrossEntropyLoss(), (inputs, targets))


@pytest.mark.parametrize("shift", [1, -1, 5, -8, 50])
def test_a_shift_is_found(shift: int) -> None:
    inputs, labels = blobs(300)
    found = of(inputs, labels.roll(shift))
    assert found.as_given < 4.0 and found.best > 3.0 * ALIVE
    assert (found.shift, found.reversed) == (shift, False)
    assert torch.equal(realigned(labels.roll(shift), found.shift, found.reversed), labels)


@pytest.mark.parametrize("shift", [0, 1, -1])
def test_the_reverse_order_is_found(shift: int) -> None:
    inputs, labels = blobs(300)
    late = labels.roll(shift).flip(0) if shift else labels.flip(0)
    found = of(inputs, late)
    assert found.best > 3.0 * ALIVE and found.reversed
    assert torch.equal(realigned(late, found.shift, found.reversed), labels)


def test_what_depends_as_given_is_not_searched() -> None:
    found = of(*blobs(300))
    assert found.as_given > 3.0 * ALIVE and found.tried == 0


def test_nothing_is_found_where_there_is_nothing() -> None:
    inputs, labels = blobs(300)
    found = of(inputs, labels[torch.randperm(300, generator=generator(3))])
    assert found.as_given < 4.0 and found.best < ALIVE and found.tried > 16


def test_scale_of_inputs_and_targets_does_not_matter() -> None:
    inputs = torch.randn(200, 3, generator=generator())
    targets = inputs[:, :1].square()
    small, large = (
        Alignment.measure(setup_of(lambda: nn.Linear(3, 1), nn.MSELoss(), (factor * inputs, factor * targets)))
        for factor in (0.01, 100.0)
    )
    assert small.as_given == pytest.approx(large.as_given, rel=1e-3)


def test_kernel_against_its_formula() -> None:
    rows = torch.randn(5, 2, generator=generator(), dtype=torch.float64)
    apart = [float((a - b).square().sum()) for a in rows for b in rows]
    median = float(torch.tensor([d for d in apart if d > 0.0], dtype=torch.float64).median())
    exact = torch.tensor(apart, dtype=torch.float64).reshape(5, 5).div(-median).exp()
    assert torch.allclose(_gaussian(rows), exact, atol=1e-9)


def test_a_loader_and_few_samples_are_not_searched() -> None:
    with pytest.raises(NotMeasurable):
        of(*blobs(20))
