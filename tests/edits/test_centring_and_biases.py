"""Edits that move what feeds a layer, or its biases."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from unstuck import Setup, patients
from unstuck.edits.biases import shift_biases
from unstuck.edits.centring import Shift, centre_activations, move_activations
from unstuck.edits.initialisation import scale_weights
from unstuck.errors import RemedyError
from unstuck.setup.data import gather
from unstuck.setup.randomness import isolated


def built(setup: Setup) -> nn.Module:
    with isolated(setup.seed):
        return setup.build()[0]


def feeding(setup: Setup) -> list[Tensor]:
    """What feeds each linear layer behind the first, on the samples that the edit looked at."""
    model, seen = built(setup), []
    layers = [layer for layer in model.modules() if isinstance(layer, (nn.Linear, nn.Conv2d))]
    for layer in layers[1:]:
        layer.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()))
    with torch.no_grad():
        setup.outputs(model, gather(setup.train.head(256)))
    return seen


def test_centred_features_have_mean_zero() -> None:
    for fed in feeding(centre_activations(patients.shells())):
        assert float(fed.mean(0).abs().max()) < 1e-5


def test_centred_channels_have_mean_zero() -> None:
    setup = patients.bars(
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)
        )
    )
    first, second = feeding(centre_activations(setup))
    assert float(first.mean((0, 2, 3)).abs().max()) < 1e-5
    assert float(second.mean(0).abs().max()) < 1e-5


def test_moved_activations_lie_where_they_were_put_and_centring_undoes_it() -> None:
    moved = move_activations(patients.shells(), 30.0)
    plain, there = feeding(patients.shells())[0], feeding(moved)[0]
    torch.testing.assert_close(there - plain, torch.full_like(plain, 30.0 * float(plain.std())), rtol=1e-3, atol=1e-3)
    for fed in feeding(centre_activations(moved)):
        assert float(fed.mean(0).abs().max()) < 1e-3 * float(there.abs().max())


def test_a_copy_of_the_model_keeps_its_shifts() -> None:
    model = built(move_activations(patients.shells(), 3.0))
    twin = copy.deepcopy(model)
    inputs = torch.randn(8, 4)
    assert torch.equal(model(inputs), twin(inputs))
    assert all(float(each.by.abs().max()) > 0.0 for each in twin.modules() if isinstance(each, Shift))


def test_biases_move_by_deviations_of_the_outputs_to_one_side_or_both() -> None:
    plain = built(patients.shells())
    down = built(shift_biases(patients.shells(), frozenset({"Relu"}), -10.0))
    both = built(shift_biases(patients.shells(), frozenset({"Relu"}), 10.0, alternate=True))
    inputs = gather(patients.shells().train.head(64))[0]
    spread = float(plain[0](inputs).detach().std())
    torch.testing.assert_close(down[0].bias - plain[0].bias, torch.full((32,), -10.0 * spread), rtol=1e-3, atol=1e-3)
    moved = both[0].bias - plain[0].bias
    torch.testing.assert_close(moved[::2], torch.full((16,), 10.0 * spread), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(moved[1::2], torch.full((16,), -10.0 * spread), rtol=1e-3, atol=1e-3)
    assert torch.equal(down[4].bias, plain[4].bias)


def test_what_has_no_such_layer_is_refused() -> None:
    linear = patients.regression(lambda: nn.Linear(3, 1))
    for edit in (centre_activations, lambda setup: scale_weights(setup, 9.0)):
        with pytest.raises(RemedyError):
            edit(linear)
    with pytest.raises(RemedyError, match="without a norm"):
        shift_biases(linear, frozenset({"Relu"}), -10.0)


def test_scaled_weights_spare_the_last_layer_and_normalised_ones() -> None:
    def model() -> nn.Module:
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))

    plain, scaled = built(patients.shells(model)), built(scale_weights(patients.shells(model), 5.0))
    ratios = [float((scaled[n].weight / plain[n].weight).detach().mean()) for n in (0, 3, 5)]
    assert ratios == pytest.approx([1.0, 5.0, 1.0])
