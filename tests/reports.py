"""Reports on small set-ups, made once for all tests that read them."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

import unstuck
from unstuck import Report, patients
from unstuck.progress import Progress
from unstuck.setup import Setup

BUDGET = 60.0


def mixed_units(values: Tensor) -> Tensor:
    return values * torch.tensor([0.01, 1.0, 300.0]) + torch.tensor([0.0, 0.0, 1000.0])


def well() -> Setup:
    return patients.shells()


def slow() -> Setup:
    """The rate is far too low."""
    return patients.shells(optimizer=patients.adam(3e-5))


def unscaled() -> Setup:
    """Inputs in mixed units: what the first batch shows explains it all."""
    return patients.regression(inputs=mixed_units)


def unscaled_and_slow() -> Setup:
    """Neither standardised inputs nor a higher rate cure it alone."""
    return patients.regression(inputs=mixed_units, optimizer=patients.sgd(1e-9))


def large_but_well() -> Setup:
    """Inputs fifteen times too large, which does this one no harm."""
    return patients.regression(linear=True, inputs=lambda values: 15.0 * values, epochs=40)


def stopped_in_a_trial() -> Report:
    return interrupted(slow(), "Raise the learning rate")


def interrupted(setup: Setup, at: str) -> Report:
    """The report where Ctrl-C is pressed when something begins."""

    def listener(progress: Progress) -> None:
        if at in progress.doing:
            raise KeyboardInterrupt

    return unstuck.diagnose(setup, budget=BUDGET, progress=listener)


MAKERS = {
    "well": well,
    "slow": slow,
    "unscaled": unscaled,
    "unscaled and slow": unscaled_and_slow,
    "large but well": large_but_well,
}


@cache
def report(name: str) -> Report:
    if name == "stopped":
        return stopped_in_a_trial()
    return unstuck.diagnose(MAKERS[name](), budget=BUDGET)
