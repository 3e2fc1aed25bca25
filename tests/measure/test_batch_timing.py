"""Time against batch size."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.tiny import line
from unstuck import patients
from unstuck.measure.batch_timing import batch_timing
from unstuck.measure.protocol import NotMeasurable


def slow(model: nn.Module, batch: Any) -> Tensor:
    """Takes two milliseconds, and a fifth of one for each sample."""
    time.sleep(2e-3 + 2e-4 * len(batch[0]))
    outputs: Tensor = model(batch[0])
    return outputs


def test_times_of_updates_and_epochs_are_those_that_the_step_takes() -> None:
    found = batch_timing(line(forward=slow, batch_size=8), seconds=10.0)
    assert [each.batch_size for each in found.times] == [2, 8, 32]
    for each in found.times:
        least = 2e-3 + 2e-4 * each.batch_size
        assert least <= each.fastest <= each.update_seconds <= each.slowest
        assert each.epoch_seconds == pytest.approx(each.update_seconds * 64 / each.batch_size)
    small, _, large = found.times
    assert small.epoch_seconds > 1.5 * large.epoch_seconds


def test_sizes_that_do_not_run_are_left_out() -> None:
    def net() -> nn.Module:
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))

    found = batch_timing(patients.classification(net, batch_size=4), seconds=10.0)
    assert [each.batch_size for each in found.times] == [4, 16, 64], "batch-norm refuses a single sample"


def test_nothing_is_moved_and_time_is_kept() -> None:
    setup = patients.shells()
    state = torch.random.get_rng_state()
    assert len(batch_timing(setup, seconds=0.0).times) == 1
    assert torch.equal(state, torch.random.get_rng_state())


def broken(outputs: Tensor, targets: Tensor) -> Tensor:
    raise RuntimeError("no loss today")


def test_a_step_that_raises_is_told() -> None:
    with pytest.raises(NotMeasurable, match="could not be timed"):
        batch_timing(replace(line(), loss=broken))
    assert math.isfinite(batch_timing(line()).times[0].update_seconds)
