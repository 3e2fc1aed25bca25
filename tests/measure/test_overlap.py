"""Copies across splits, against rows compared one by one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.measure.programs import generator, setup_of
from unstuck.measure.overlap import NEAR, Overlap, fingerprints
from unstuck.measure.protocol import NotMeasurable


def overlap(train: Tensor, validation: Tensor) -> Overlap:
    pairs = [(part, torch.zeros(len(part), 1)) for part in (train, validation)]
    return Overlap.measure(setup_of(lambda: nn.Linear(2, 1), nn.MSELoss(), pairs[0], validation=pairs[1]))


def test_exact_copies_against_loops() -> None:
    train, other = (torch.randint(0, 6, (80, 3), generator=generator(seed)).float() for seed in (1, 2))
    found = overlap(train, other)
    (copies,) = found.splits
    slow = [any(bool((row == one).all()) for one in train) for row in other]
    assert copies.exact == sum(slow)
    assert copies.first_rows == tuple(i for i, same in enumerate(slow) if same)[:5]
    own = [sum(bool((row == one).all()) for one in train) > 1 for row in train]
    assert found.own.exact == sum(own)


def test_near_copies_are_found_in_any_units() -> None:
    train = torch.randn(200, 50, generator=generator())
    shifted = train[:60] + 1e-4 * torch.randn(60, 50, generator=generator(1))
    fresh = torch.randn(40, 50, generator=generator(2))
    units = torch.logspace(-3, 3, 50)
    (copies,) = overlap(train * units, torch.cat([shifted, fresh]) * units).splits
    assert (copies.exact, copies.near, copies.compared) == (0, 60, 100)


def test_fresh_samples_are_no_copies() -> None:
    found = overlap(torch.randn(200, 5, generator=generator()), torch.randn(100, 5, generator=generator(1)))
    assert found.splits[0].exact == 0 and found.splits[0].near <= 100 * NEAR
    assert found.own.near <= 2


def test_fingerprints_do_not_depend_on_place() -> None:
    rows = torch.randn(3000, 7, generator=generator())
    order = torch.randperm(3000, generator=generator(1))
    assert torch.equal(fingerprints(rows)[order], fingerprints(rows[order]))
    assert len(fingerprints(rows).unique()) == 3000


def test_without_another_split_there_is_nothing_to_compare() -> None:
    rows = torch.zeros(30, 2)
    with pytest.raises(NotMeasurable):
        Overlap.measure(setup_of(lambda: nn.Linear(2, 1), nn.MSELoss(), (rows, rows[:, :1])))
