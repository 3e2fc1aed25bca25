"""Batches that are alike inside, against analysis of variance written out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.measure.programs import blobs, generator, setup_of
from unstuck.measure.sample_order import SampleOrder, between
from unstuck.setup import Setup, StackedData


def in_order(labels: torch.Tensor, batch_size: int = 20) -> Setup:
    made = setup_of(
        lambda: nn.Linear(6, 4), nn.CrossEntropyLoss(), (torch.zeros(len(labels), 6), labels), batch_size=batch_size
    )
    assert isinstance(made.train, StackedData)
    return replace(made, train=replace(made.train, shuffled=False))


def test_between_against_loops() -> None:
    rows = torch.randn(10, 3, generator=generator(), dtype=torch.float64)
    slow, start = 0.0, 0
    for size in (4, 4, 2):
        part = rows[start : start + size]
        slow += size * sum(float(column.mean()) ** 2 for column in part.T)
        start += size
    assert between(rows, [4, 4, 2]) == pytest.approx(slow)


def test_sorted_labels_lie_between_batches() -> None:
    labels = blobs(200)[1]
    found = SampleOrder.measure(in_order(labels.sort().values))
    assert not found.shuffled
    assert found.share > 0.8 and found.deviations > 20.0
    assert found.chance == pytest.approx(9 / 199, abs=0.01)


def test_random_order_is_chance() -> None:
    found = SampleOrder.measure(in_order(blobs(200)[1]))
    assert abs(found.deviations) < 3.0


def test_shuffled_sorted_labels_are_chance() -> None:
    made = in_order(blobs(200)[1].sort().values)
    found = SampleOrder.measure(replace(made, train=replace(made.train, shuffled=True)))  # type: ignore[type-var]
    assert found.shuffled and abs(found.deviations) < 3.0


def test_one_batch_has_no_order() -> None:
    found = SampleOrder.measure(in_order(blobs(200)[1].sort().values, batch_size=200))
    assert (found.batches, found.share) == (1, 0.0)
