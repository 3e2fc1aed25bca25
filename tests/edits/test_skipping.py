"""Shallower versions, and skip connections."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from unstuck import Setup, patients
from unstuck.edits.skipping import halve_depth, insert_skips
from unstuck.errors import RemedyError
from unstuck.setup.randomness import isolated


def built(setup: Setup) -> nn.Module:
    with isolated(setup.seed):
        return setup.build()[0].eval()


def deep() -> nn.Module:
    layers: list[nn.Module] = [nn.Linear(4, 8), nn.ReLU()]
    for _ in range(4):
        layers += [nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(8, 3))


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.one, self.two, self.last = (nn.Linear(a, b) for a, b in ((4, 8), (8, 8), (8, 8), (8, 3)))

    def forward(self, values: Tensor) -> Tensor:
        hidden = self.first(values)
        hidden = hidden + self.two(self.one(hidden).relu())
        outputs: Tensor = self.last(hidden)
        return outputs


def test_every_second_equal_layer_goes_with_norm_and_activation() -> None:
    plain, shallow = built(patients.shells(deep)), built(halve_depth(patients.shells(deep)))
    inputs = torch.randn(5, 4)
    expected = nn.Sequential(*plain[:5], *plain[8:11], plain[14])
    assert torch.equal(shallow(inputs), expected(inputs))


def test_skips_add_what_each_equal_layer_is_given() -> None:
    plain, skipping = built(patients.shells(deep)), built(insert_skips(patients.shells(deep)))
    inputs = torch.randn(5, 4)
    hidden = inputs
    for number, layer in enumerate(plain):
        hidden = hidden + 0.5 * layer(hidden) if number in (2, 5, 8, 11) else layer(hidden)
    torch.testing.assert_close(skipping(inputs), hidden)


@pytest.mark.parametrize("edit", [halve_depth, insert_skips])
@pytest.mark.parametrize("model", [Residual, lambda: nn.Linear(4, 3), lambda: patients.perceptron(4, 8, 3)])
def test_what_has_skips_or_no_equal_layers_is_refused(edit: object, model: object) -> None:
    with pytest.raises(RemedyError):
        edit(patients.shells(model))  # type: ignore[operator, arg-type]
