"""Batch-norm statistics that lag behind, and ones that keep up."""

from __future__ import annotations

from typing import Any

import torch

from unstuck import patients
from unstuck.examine import Examination
from unstuck.measure.preparation import Allowance, Trained
from unstuck.measure.protocol import Unmeasured
from unstuck.measure.shift.normalisation import NormStatistics
from unstuck.rules.normalisation_statistics_mismatch import _batch_normed, lag_behind
from unstuck.setup import Setup


def measured(setup: Setup) -> tuple[Any, Examination]:
    examination = Examination(setup)
    examination.put(Allowance(20.0))
    return examination.get(NormStatistics), examination


def test_statistics_that_lag_behind_are_told_from_ones_that_keep_up() -> None:
    slow, _ = measured(lag_behind(patients.shells(_batch_normed, epochs=10)))
    usual, _ = measured(patients.shells(_batch_normed, epochs=10))
    assert slow.gain > 0.5 and slow.layers == 2 and slow.momentum == 0.0005
    assert abs(usual.gain) < 0.1 and usual.distance < 0.3 * slow.distance


def test_the_trained_model_stays_as_it_was() -> None:
    setup = lag_behind(patients.shells(_batch_normed, epochs=3))
    _, examination = measured(setup)
    trained = examination.get(Trained)
    assert isinstance(trained, Trained)
    mean = trained.run.model[1].running_mean
    assert float(mean.abs().max()) < 0.2 and trained.run.model[1].momentum == 0.0005  # still near its start
    assert all(torch.isfinite(value).all() for value in trained.run.model.state_dict().values())


def test_without_batch_norm_there_is_nothing_to_measure() -> None:
    found, _ = measured(patients.shells(epochs=1))
    assert isinstance(found, Unmeasured) and "no batch-norm" in found.reason
