from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.edits import patients
from unstuck.edits.activations import (
    append_final_activation,
    drop_final_activation,
    insert_nonlinearities,
    remove_nonlinearities,
    replace_activations,
    replace_final_activation,
)
from unstuck.edits.structure import read_structure
from unstuck.errors import RemedyError
from unstuck.loop import predict
from unstuck.setup import Setup
from unstuck.setup.randomness import isolated


def with_model(build: Callable[[], nn.Module], **more: Any) -> Setup:
    return patients.classes_setup(build, patients.vectors(), **more)


def outputs(setup: Setup) -> Tensor:
    with isolated(0):
        model, _ = setup.build()
    result: Tensor = predict(setup, model, setup.train.head(8))[0]
    return result


class Net(nn.Module):
    """Two layers, hidden and last activation as given."""

    def __init__(self, hidden: Any, last: Any) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 3)
        self.hidden, self.last = hidden, last

    def forward(self, inputs: Tensor) -> Tensor:
        result: Tensor = self.last(self.second(self.hidden(self.first(inputs))))
        return result


def softmax(scores: Tensor) -> Tensor:
    return torch.softmax(scores, 1)


FINALS = [
    (lambda: Net(nn.ReLU(), nn.Softmax(1)), "SoftmaxBackward0", "last", 1.0),
    (lambda: Net(nn.ReLU(), softmax), "SoftmaxBackward0", None, 1.0),
    (lambda: Net(nn.ReLU(), lambda z: functional.log_softmax(z, dim=1)), "LogSoftmaxBackward0", None, 1.0),
    (lambda: Net(nn.ReLU(), lambda z: z.sigmoid().reshape(-1, 3)), "SigmoidBackward0", None, 1.0),
    (lambda: Net(nn.Sigmoid(), nn.Sigmoid()), "SigmoidBackward0", "last", 1.0),
    (lambda: Net(torch.sigmoid, lambda z: torch.sigmoid(z) * 10), "SigmoidBackward0", None, 10.0),
    (lambda: Net(torch.relu, lambda z: z.relu_()), "ReluBackward0", None, 1.0),
    (lambda: Net(nn.ReLU(), lambda z: functional.softsign(z)), "DivBackward0", None, 1.0),
]


@pytest.mark.parametrize(("build", "operation", "layer", "factor"), FINALS)
def test_the_final_activation_is_found_and_dropped(
    build: Callable[[], nn.Module], operation: str, layer: str | None, factor: float
) -> None:
    setup = with_model(build)
    final = read_structure(setup).final_activation
    assert final is not None
    assert (final.operation, final.layer, final.in_model) == (operation, layer, True)
    dropped = drop_final_activation(setup)
    assert read_structure(dropped).final_activation is None
    with isolated(0):
        model = build()
    model.last = nn.Identity()  # type: ignore[assignment]
    with torch.no_grad():
        raw = model(setup.train.head(8)[0][0])
    assert torch.allclose(outputs(dropped), raw * factor, atol=1e-5)


def test_a_shared_activation_is_dropped_at_its_last_call_only() -> None:
    def build() -> nn.Module:
        shared = nn.ReLU()
        return nn.Sequential(nn.Linear(6, 8), shared, nn.Linear(8, 8), shared, nn.Linear(8, 3), shared)

    setup = with_model(build)
    dropped = drop_final_activation(setup)
    with isolated(0):
        expected = build()[:-1](setup.train.head(8)[0][0])  # type: ignore[index]
    assert torch.allclose(outputs(dropped), expected)
    assert bool((outputs(dropped) < 0).any())


def test_a_final_activation_in_the_users_forward_is_dropped() -> None:
    setup = with_model(
        patients.perceptron, forward=lambda model, batch: torch.softmax(model(batch[0]), 1).unsqueeze(0).squeeze(0)
    )
    final = read_structure(setup).final_activation
    assert final is not None and not final.in_model
    plain = with_model(patients.perceptron)
    assert torch.equal(outputs(drop_final_activation(setup)), outputs(plain))


def test_edits_of_function_calls_add_up() -> None:
    setup = with_model(lambda: Net(torch.sigmoid, torch.sigmoid))
    for order in ((remove_nonlinearities, drop_final_activation), (drop_final_activation, remove_nonlinearities)):
        edited = order[1](order[0](setup))
        with isolated(0):
            model = Net(nn.Identity(), nn.Identity())
        with torch.no_grad():
            assert torch.allclose(outputs(edited), model(setup.train.head(8)[0][0]))


def test_affine_outputs_have_no_final_activation() -> None:
    for name, make in patients.PATIENTS.items():
        setup = make()
        assert read_structure(setup).final_activation is None, name
        with pytest.raises(RemedyError, match="affine"):
            drop_final_activation(setup)


def test_the_final_activation_is_replaced() -> None:
    for last in (nn.Softmax(0), lambda z: torch.softmax(z, 0)):
        mended = replace_final_activation(with_model(lambda last=last: Net(nn.ReLU(), last)), nn.Softmax(1))
        assert torch.allclose(outputs(mended).sum(1), torch.ones(8))


def test_an_activation_is_appended() -> None:
    for setup in (patients.plain(), patients.functional_net(), patients.recurrent(), patients.live()):
        assert torch.allclose(outputs(append_final_activation(setup, nn.Softmax(1))).sum(1), torch.ones(8))
    doubled = with_model(patients.perceptron, forward=lambda model, batch: 2 * model(batch[0]))
    appended = append_final_activation(doubled, nn.Softmax(1))
    assert torch.allclose(outputs(appended), outputs(doubled).softmax(1))


def test_layers_are_read_in_order() -> None:
    layers = read_structure(patients.batch_norm()).layers
    assert [layer.kind for layer in layers] == ["Linear", "BatchNorm1d", "ReLU", "Dropout", "Linear"]
    assert layers[0].input_shape == (8, 6) and layers[0].output_shape == (8, 8)
    assert (layers[0].followed_by, layers[0].normalised, layers[4].followed_by) == ("Relu", True, None)


def test_affine_pairs_are_those_with_nothing_between() -> None:
    def build() -> nn.Module:
        return nn.Sequential(
            nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3)
        )

    setup = with_model(build)
    assert read_structure(setup).affine_pairs == (("0", "3"),)
    inserted = insert_nonlinearities(setup)
    assert read_structure(inserted).affine_pairs == ()
    assert inserted.model.edits[0].before == "nothing between"
    # A residual sum with a non-linear branch is no pair, nor is attention.
    for make in (patients.residual, patients.transformer, patients.recurrent):
        assert read_structure(make()).affine_pairs == ()
    assert read_structure(patients.autoencoder()).affine_pairs == (("encoder.2", "decoder.0"),)


def test_removed_nonlinearities_leave_an_affine_model() -> None:
    for make in (patients.plain, patients.functional_net, patients.live):
        setup = remove_nonlinearities(make())
        with isolated(0):
            model = setup.build()[0]
        x, y = torch.randn(2, 4, 6)
        with torch.no_grad():
            assert torch.allclose(model(x + y) + model(0 * x), model(x) + model(y), atol=1e-5)


def test_gates_norms_and_the_final_activation_stay() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.value, self.gate, self.head = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(8, 3)

        def forward(self, inputs: Tensor) -> Tensor:
            hidden = torch.relu(self.value(inputs)) * torch.sigmoid(self.gate(inputs))
            result: Tensor = torch.sigmoid(self.head(torch.tanh(hidden)))
            return result

    edited = remove_nonlinearities(with_model(Gated))
    assert edited.model.edits[0].before == "tanh"
    final = read_structure(edited).final_activation
    assert final is not None and final.operation == "SigmoidBackward0"


def test_replaced_activations_are_drawn_to_fit() -> None:
    setup = with_model(lambda: Net(nn.Sigmoid(), nn.Sigmoid()))
    edited = replace_activations(setup, nn.ReLU, initialise=True)
    model = edited.build()[0]
    assert isinstance(model.hidden, nn.ReLU) and isinstance(model.last, nn.Sigmoid)
    assert [edit.field for edit in edited.model.edits] == ["model: hidden activations", "initial weights"]
    with pytest.raises(RemedyError, match="no hidden activations"):
        replace_activations(patients.recurrent(), nn.ReLU)


def test_an_error_in_the_forward_leaves_no_mode_behind() -> None:
    edited = remove_nonlinearities(patients.functional_net())
    model = edited.build()[0]
    with pytest.raises(RuntimeError):
        model(torch.zeros(2, 5))
    assert bool((functional.relu(torch.tensor([-1.0])) == 0).all())
