"""Everything that users hold becomes a set-up that trains, repeats itself, and keeps off the user's objects."""

from __future__ import annotations

import math

import pytest
import torch

import unstuck
from tests.setup.accepted import ACCEPTED
from unstuck import Setup

pytestmark = [
    pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.nn.utils.spectral_norm.*:FutureWarning"),
]


@pytest.mark.parametrize("name", ACCEPTED)
def test_trains_and_repeats_itself(name: str) -> None:
    torch.manual_seed(0)
    setup = Setup.of(**ACCEPTED[name]())
    run = unstuck.fit(setup, watched=True)
    assert run.record.stopped == "finished"
    assert run.losses and all(math.isfinite(loss) for loss in run.losses)
    again = unstuck.fit(setup)
    assert again.losses == run.losses, "a second run, unwatched, differs"
    for left, right in zip(run.model.state_dict().values(), again.model.state_dict().values(), strict=True):
        assert torch.equal(left, right)
