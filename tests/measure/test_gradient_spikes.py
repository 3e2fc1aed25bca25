"""The level of a run's gradients, and what stands out of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from unstuck.measure.gradient_spikes import GradientSpikes
from unstuck.measure.protocol import NotMeasurable


def spikes(*norms: float) -> GradientSpikes:
    trained: Any = SimpleNamespace(run=SimpleNamespace(record=SimpleNamespace(gradient_norms=norms)))
    return GradientSpikes.measure(trained)


def test_a_spike_is_told_against_the_median() -> None:
    found = spikes(*[1.0] * 50, 500.0, *[1.0] * 49)
    assert (found.spike, found.median, found.usual, found.largest) == (500.0, 1.0, 1.0, 500.0)


def test_gradients_that_shrink_with_the_loss_make_no_spike_of_the_start() -> None:
    assert spikes(*[100.0] * 20, *[0.1] * 200).spike == 1.0


def test_what_is_no_number_is_left_out_and_nothing_is_not_measured() -> None:
    assert spikes(1.0, float("nan"), 2.0, float("inf")).steps == 2
    assert spikes(0.0, 0.0).spike == 0.0
    with pytest.raises(NotMeasurable):
        spikes(float("nan"))
