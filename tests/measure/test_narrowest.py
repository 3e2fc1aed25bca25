import pytest
import torch
from torch import Tensor, nn

import unstuck
from tests.edits import patients
from unstuck.edits.widening import hidden_widths, widened, with_width
from unstuck.measure.narrowest import Narrowest
from unstuck.measure.protocol import NotMeasurable


def test_the_narrowest_is_found_with_what_the_others_have() -> None:
    found = Narrowest.measure(patients.classes_setup(_funnel, patients.vectors()))
    assert (found.names, found.width, found.others, found.layers) == (("2",), 1, 24.0, 3)
    assert found.ratio == pytest.approx(1 / 24)


def _funnel() -> nn.Module:
    sizes = (6, 32, 1, 16, 3)
    layers = [part for a, b in zip(sizes, sizes[1:], strict=False) for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def test_widths_that_must_agree_are_one() -> None:
    groups = hidden_widths(patients.residual())
    assert [(group.names, group.width) for group in groups] == [(("widen", "outer"), 10), (("inner",), 7)]
    with pytest.raises(NotMeasurable, match="no two hidden"):
        Narrowest.measure(patients.classes_setup(lambda: nn.Linear(6, 3), patients.vectors()))


def test_a_single_unit_is_widened() -> None:
    setup = patients.classes_setup(_funnel, patients.vectors())
    wide = widened(setup, 8.0).build()[0]
    assert [wide.get_submodule(name).out_features for name in ("0", "2", "4", "6")] == [256, 8, 128, 3]
    only = with_width(setup, ("2",), 12)
    assert [only.build()[0].get_submodule(name).out_features for name in ("0", "2", "4", "6")] == [32, 12, 16, 3]
    assert len(unstuck.fit(only, steps=2).losses) == 2


def test_a_single_unit_that_is_broadcast_stays() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate, self.hidden, self.head = nn.Linear(6, 1), nn.Linear(6, 8), nn.Linear(8, 3)

        def forward(self, inputs: Tensor) -> Tensor:
            scores: Tensor = self.head(torch.sigmoid(self.gate(inputs)) * torch.relu(self.hidden(inputs)))
            return scores

    wide = widened(patients.classes_setup(Gated, patients.vectors()), 2.0).build()[0]
    assert wide.get_submodule("hidden").out_features == 16
    assert wide.get_submodule("gate").out_features == 1
