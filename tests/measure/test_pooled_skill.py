"""What all labelled samples together tell, where those of training are too few."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from unstuck import patients
from unstuck.edits.samples import in_memory
from unstuck.examine import Examination
from unstuck.measure.pooled_skill import PooledSkill
from unstuck.measure.preparation import Allowance
from unstuck.rules.no_signal import shuffle_targets
from unstuck.setup import Setup


def measured(setup: Setup) -> Any:
    examination = Examination(setup)
    examination.put(Allowance(20.0))
    return examination.get(PooledSkill)


def few(setup: Setup) -> Setup:
    return replace(setup, train=in_memory(setup.train).subset(torch.arange(20)))


@pytest.mark.parametrize("patient", [patients.shells, patients.regression])
def test_held_out_samples_show_what_twenty_training_samples_do_not(patient: Any) -> None:
    found = measured(few(patient()))
    assert found.samples > 100 and found.error + 3.0 * found.standard_error < 1.0


@pytest.mark.parametrize("patient", [patients.shells, patients.regression])
def test_targets_dealt_out_at_random_show_nothing(patient: Any) -> None:
    found = measured(shuffle_targets(patient()))
    assert found.error + 3.0 * found.standard_error >= 1.0
