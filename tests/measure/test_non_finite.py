"""NaN and infinite numbers: where they stand, and whether they reach the loss."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.measure.programs import generator, setup_of
from unstuck.measure.non_finite import NonFinite, bad_rows
from unstuck.setup import Setup
from unstuck.setup.batch import replace_inputs, replace_targets

ROWS, COLUMNS = (3, 40, 41), (1, 0, 1)


def with_gaps(setup: Setup) -> Setup:
    def change(values: torch.Tensor) -> torch.Tensor:
        return values.index_put((torch.tensor(ROWS), torch.tensor(COLUMNS)), torch.tensor(math.inf))

    return replace(setup, train=setup.train.mapped(lambda batch: replace_inputs(batch, change)))


def regression(model: nn.Module | None = None) -> Setup:
    inputs = torch.randn(60, 2, generator=generator())
    return setup_of(lambda: model or nn.Linear(2, 1), nn.MSELoss(), (inputs, inputs[:, :1]))


def test_rows_and_columns_are_named() -> None:
    found = NonFinite.measure(with_gaps(regression()))
    (gaps,) = found.gaps
    assert (gaps.split, gaps.part, gaps.rows, gaps.looked_at) == ("training", "inputs", 3, 60)
    assert gaps.first_rows == ROWS and gaps.columns == (1, 0)
    assert gaps.share == pytest.approx(3 / 120)
    assert found.reaches_loss


def test_complete_data_have_none() -> None:
    assert NonFinite.measure(regression()) == NonFinite((), False)


def test_a_network_that_fills_gaps_keeps_them_from_the_loss() -> None:
    class Filling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(2, 1)

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = self.linear(values.nan_to_num(posinf=0.0))
            return made

    found = NonFinite.measure(with_gaps(regression(Filling())))
    assert len(found.gaps) == 1 and not found.reaches_loss


def test_targets_count_too() -> None:
    setup = regression()
    targets = setup.targets(setup.train.samples).clone()  # type: ignore[attr-defined]
    targets[7] = math.nan
    sick = replace(setup, train=setup.train.mapped(lambda batch: replace_targets(batch, targets)))
    (gaps,) = NonFinite.measure(sick).gaps
    assert (gaps.part, gaps.first_rows) == ("targets", (7,))


def test_a_mask_of_minus_infinity_is_no_gap() -> None:
    mask = torch.zeros(10, 4).masked_fill(torch.rand(10, 4, generator=generator()) < 0.5, -math.inf)
    assert not bool(bad_rows((mask, torch.zeros(10))).any())
