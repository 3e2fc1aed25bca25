"""Everything that users hold becomes a set-up that trains, repeats itself, and keeps off the user's objects."""

from __future__ import annotations

import math
import pickle

import pytest
import torch

import unstuck
from tests.setup.accepted import ACCEPTED
from unstuck import Setup
from unstuck.errors import ExaminationError, RemedyError, SetupError, UnstuckError

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


BOUND_HERE = {"hooks_on_modules_and_gradients", "parametrised_norms", "optimizer_with_hooks"}


@pytest.mark.parametrize("name", ACCEPTED)
def test_travels_to_another_process_whole_or_not_at_all(name: str) -> None:
    cloudpickle = pytest.importorskip("cloudpickle")  # with which joblib sends functions
    torch.manual_seed(0)
    setup = Setup.of(**ACCEPTED[name]())
    try:
        sent = cloudpickle.dumps(setup)
    except (pickle.PicklingError, RuntimeError):
        assert name in BOUND_HERE or "LBFGS" in name or "closure" in name
        return
    there = pickle.loads(sent)
    assert unstuck.fit(there, steps=4).losses == unstuck.fit(setup, steps=4).losses


@pytest.mark.parametrize(
    "error",
    [
        SetupError("`loss` must return a scalar", "shape [3]", "Use .mean()."),
        ExaminationError("forward", ValueError("bad"), "net.py:3", "Mend it.", on="test"),
        RemedyError("nothing to change"),
    ],
)
def test_errors_travel(error: UnstuckError) -> None:
    there = pickle.loads(pickle.dumps(error))
    assert type(there) is type(error) and str(there) == str(error)
    assert getattr(there, "stage", "") == getattr(error, "stage", "")
