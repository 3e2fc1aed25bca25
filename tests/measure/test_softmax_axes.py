"""The axes of softmaxes, told from two runs, against those that were written."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from unstuck import patients
from unstuck.measure.layout import Layout
from unstuck.measure.preparation import Prepared
from unstuck.measure.softmax_axes import SoftmaxAxes
from unstuck.measure.task import Task
from unstuck.rules.softmax_over_wrong_axis import turn_back
from unstuck.setup import Setup


def axes(setup: Setup) -> SoftmaxAxes:
    prepared = Prepared.measure(setup)
    return SoftmaxAxes.measure(prepared, Task.measure(setup), Layout.measure(prepared))


class Weighted(nn.Module):
    """Features weighted by a softmax of scores `[N, F, 1]` along an axis."""

    def __init__(self, axis: int | None) -> None:
        super().__init__()
        self.softmax = nn.Softmax(dim=axis)
        self.values, self.score, self.head = nn.Linear(1, 8), nn.Linear(8, 1), nn.Linear(8, 3)

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.values(features.unsqueeze(2))
        return self.head((self.softmax(self.score(hidden)) * hidden).sum(1))


@pytest.mark.parametrize(
    ("axis", "over_samples", "over_one", "fitting"),
    [
        (1, False, False, ()),
        (0, True, False, (1,)),
        (2, False, True, (1,)),
        (-1, False, True, (1,)),
        (None, True, False, (1,)),
    ],
)
@pytest.mark.filterwarnings("ignore:Implicit dimension")
def test_axis_of_a_hidden_softmax(
    axis: int | None, over_samples: bool, over_one: bool, fitting: tuple[int, ...]
) -> None:
    (found,) = axes(patients.classification(lambda: Weighted(axis))).axes
    assert (found.over_samples, found.over_one, found.fitting) == (over_samples, over_one, fitting)
    assert found.is_wrong is (axis != 1)


def test_a_softmax_at_the_outputs_is_held_against_the_classes() -> None:
    right = axes(
        patients.classification(lambda: patients.perceptron(4, 8, 3, last=nn.LogSoftmax(1)), loss=nn.NLLLoss())
    )
    wrong = axes(
        patients.classification(lambda: patients.perceptron(4, 8, 3, last=nn.LogSoftmax(0)), loss=nn.NLLLoss())
    )
    assert not right.misplaced_output and not right.axes[0].is_wrong
    assert wrong.misplaced_output and wrong.axes[0].over_samples and wrong.axes[0].fitting == (1,)


@pytest.mark.parametrize("axis", [0, 2])
def test_the_call_is_turned_to_the_axis_that_fits(axis: int) -> None:
    given = patients.classification(lambda: Weighted(axis))
    (mended,) = turn_back(given, axes(given))
    model, twin = mended.build()[0], Weighted(1)
    twin.load_state_dict(model.state_dict())
    inputs = torch.randn(7, 4)
    assert torch.allclose(model(inputs), twin(inputs), atol=1e-6)
