"""The summary of the data against sums written out."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from torch import nn

from tests.measure.programs import generator, prepared, setup_of
from unstuck.measure.data_summary import DataSummary
from unstuck.measure.features import InputKind


def summary(inputs: torch.Tensor, targets: torch.Tensor, **splits: object) -> DataSummary:
    loss = nn.CrossEntropyLoss() if not targets.is_floating_point() else nn.MSELoss()
    return DataSummary.measure(prepared(setup_of(lambda: nn.Linear(1, 1), loss, (inputs, targets), **splits)))


def test_vectors_against_sums() -> None:
    inputs = torch.randn(200, 3, generator=generator()) * torch.tensor([1.0, 100.0, 0.0]) + torch.tensor(
        [5.0, 3.0, 7.0]
    )
    targets = torch.arange(200) % 4
    found = summary(inputs, targets, validation=(inputs[:50], targets[:50]), test=(inputs[:20] + 1.0, targets[:20]))
    columns = found.train.inputs[0].columns
    exact = inputs.double()
    assert columns.means == pytest.approx(exact.mean(0).tolist())
    assert columns.scales == pytest.approx(exact.std(0, correction=0).tolist(), abs=1e-6)
    assert columns.mean == pytest.approx(float(exact.mean()))
    assert columns.scale == pytest.approx(float(exact.std(correction=0)))
    assert (columns.minimum, columns.maximum) == (float(exact.min()), float(exact.max()))
    assert columns.constant_share == pytest.approx(1 / 3)
    ratio = exact[:, 1].std() / exact[:, 0].std()
    assert columns.scale_ratio == pytest.approx(float(ratio), rel=1e-6)
    assert columns.largest_offset == pytest.approx(float(exact[:, 0].mean() / exact[:, 0].std(correction=0)))
    assert (found.train.samples, found.held_out.samples, found.test and found.test.samples) == (200, 50, 20)
    assert found.train.inputs[0].shape == (3,)
    assert found.train.inputs[0].dtype == "float32"
    assert found.train.targets is not None
    assert found.train.targets.counts == ((0, 50), (1, 50), (2, 50), (3, 50))


@pytest.mark.parametrize(
    ("inputs", "kind", "count"),
    [
        (torch.randn(30, 4), InputKind.VECTORS, 4),
        (torch.randn(30), InputKind.VECTORS, 1),
        (torch.randn(30, 3, 8, 8), InputKind.IMAGES, 3),
        (torch.randn(30, 8, 8, 3), InputKind.IMAGES, 3),
        (torch.randint(0, 256, (30, 1, 8, 8)).to(torch.uint8), InputKind.IMAGES, 1),
        (torch.randn(30, 20, 5), InputKind.SEQUENCES, 5),
        (torch.randn(30, 5, 20), InputKind.SEQUENCES, 5),
        (torch.randint(0, 9, (30, 12)), InputKind.TOKENS, 1),
        (torch.randint(0, 9, (30,)), InputKind.TOKENS, 1),
        (torch.randint(-9, 9, (30, 12)), InputKind.VECTORS, 12),
        (torch.randn(30, 2, 3, 4, 5), InputKind.VECTORS, 2),
    ],
)
def test_kinds_and_channels(inputs: torch.Tensor, kind: InputKind, count: int) -> None:
    found = summary(inputs, torch.zeros(30, dtype=torch.long)).train.inputs[0]
    assert found.kind is kind
    assert found.columns.count == count
    assert found.columns.mean == pytest.approx(float(inputs.double().mean()), rel=0.5, abs=1.0)


def test_targets_of_numbers_column_by_column() -> None:
    targets = torch.randn(100, 2, generator=generator()) * torch.tensor([1.0, 50.0]) + torch.tensor([0.0, 1000.0])
    found = summary(torch.randn(100, 3), targets, validation=(torch.randn(10, 3), targets[:10])).train.targets
    assert found is not None
    assert found.columns.means == pytest.approx(targets.double().mean(0).tolist())
    assert found.columns.scales == pytest.approx(targets.double().std(0, correction=0).tolist())
    assert found.counts == ()


def test_it_is_small_and_plain() -> None:
    found = summary(torch.randn(120, 500), torch.arange(120))
    assert found.train.inputs[0].columns.means == ()
    assert found.train.targets is not None
    assert found.train.targets.counts == ()
    text = json.dumps(dataclasses.asdict(found), default=lambda value: value.value)
    assert len(text) < 4000


def test_several_inputs_and_dictionaries() -> None:
    data = {"a": torch.randn(40, 2), "b": torch.randint(0, 5, (40, 6)), "labels": torch.randn(40)}
    found = DataSummary.measure(prepared(setup_of(lambda: nn.Linear(1, 1), nn.MSELoss(), data)))
    assert [one.kind for one in found.train.inputs] == [InputKind.VECTORS, InputKind.TOKENS]
    assert found.train.targets is not None
    assert found.train.targets.shape == ()
