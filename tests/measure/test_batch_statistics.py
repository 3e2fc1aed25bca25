"""The scatter of batch statistics against that of independent samples."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from tests.tiny import line
from unstuck import patients
from unstuck.examine import Examination
from unstuck.measure.batch_statistics import BatchStatistics
from unstuck.measure.preparation import Allowance
from unstuck.setup import Setup


def measured(setup: Setup) -> BatchStatistics:
    examination = Examination(setup)
    examination.put(Allowance(10.0))
    found = examination.get(BatchStatistics)
    assert isinstance(found, BatchStatistics), found
    return found


def normalised() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


@pytest.mark.parametrize("size", [2, 8, 32])
def test_scatter_of_independent_samples(size: int) -> None:
    found = measured(patients.classification(normalised, batch_size=size, epochs=1))
    assert found.layers == 1 and found.batch_size == size
    assert found.scatter == pytest.approx(1.0 / math.sqrt(size), rel=0.35)


def standardising() -> nn.Module:
    """Gives its inputs, which are standard already, standardised; its one weight starts where it belongs."""
    last = nn.Linear(1, 1, bias=False)
    nn.init.ones_(last.weight)
    return nn.Sequential(nn.BatchNorm1d(1, affine=False), last)


@pytest.mark.parametrize(("size", "least", "most"), [(2, 0.2, 2.0), (16, 0.0, 0.15)])
def test_pairs_become_plus_and_minus_one(size: int, least: float, most: float) -> None:
    """Two samples are normalised to ±1, whatever they were; the running statistics give them back as they were."""
    found = measured(line(rate=1e-9, model=standardising, batch_size=size, epochs=40))
    assert least <= found.training_loss <= most
    assert found.evaluation_loss < 0.15


def test_places_of_an_image_count_as_values() -> None:
    def net() -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))

    assert measured(patients.bars(net, batch_size=2, epochs=1)).scatter < 0.35


def frozen() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.GroupNorm(1, 8), nn.Linear(8, 3))


def test_other_norms_have_no_batch_statistics() -> None:
    found = measured(patients.classification(frozen, batch_size=2, epochs=1))
    assert found.layers == 0 and found.scatter == 0.0


def test_generators_stay() -> None:
    state = torch.random.get_rng_state()
    measured(patients.classification(normalised, epochs=1))
    assert torch.equal(state, torch.random.get_rng_state())
