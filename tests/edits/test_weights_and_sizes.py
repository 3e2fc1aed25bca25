from typing import Any

import pytest
import torch
from torch import nn

import unstuck
from tests.edits import patients
from unstuck.edits.deepening import with_blocks
from unstuck.edits.initialisation import draw_initialisation, initialise_soundly, make_units_equal
from unstuck.edits.normalisation import insert_normalisation
from unstuck.edits.regularisation import with_dropout, with_weight_decay, without_dropout, without_weight_decay
from unstuck.edits.scaling import standardise_inputs
from unstuck.edits.tracing import trace
from unstuck.edits.widening import narrowed, widened
from unstuck.errors import RemedyError
from unstuck.setup import Setup
from unstuck.setup.randomness import isolated


def shapes(setup: Setup) -> dict[str, tuple[int, ...]]:
    return {name: tuple(parameter.shape) for name, parameter in setup.build()[0].named_parameters()}


def _noting(outputs: dict[str, float], name: str) -> Any:
    def hook(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        outputs[name] = float(output.std())

    return hook


def test_every_layer_has_unit_variance_but_the_last() -> None:
    for make in (patients.plain, patients.convolutional, patients.functional_net):
        edited = initialise_soundly(standardise_inputs(make()))
        calls = [call for call in trace(edited).calls if isinstance(call.module, (nn.Linear, nn.Conv2d))]
        with isolated(edited.seed):
            model = edited.build()[0]
        outputs: dict[str, float] = {}
        for call in calls:
            model.get_submodule(call.name).register_forward_hook(_noting(outputs, call.name))
        with torch.no_grad():
            edited.outputs(model.train(), edited.train.with_batch_size(64).head(64)[0])
        for call in calls[:-1]:
            assert outputs[call.name] == pytest.approx(1.0, rel=1e-3), call.name
        assert all(float(p.detach().abs().max()) == 0 for n, p in model.named_parameters() if n.endswith("bias"))


def test_buffers_and_modes_are_as_they_were_after_initialising() -> None:
    model = initialise_soundly(patients.convolutional()).build()[0]
    assert int(model.get_buffer("norm.num_batches_tracked")) == 0
    assert all(module.training for module in model.modules())


def test_frozen_layers_keep_their_weights() -> None:
    def build() -> nn.Module:
        model = patients.perceptron()
        model[0].requires_grad_(False)
        nn.init.constant_(model[0].weight, 0.25)
        return model

    for edit in (initialise_soundly, draw_initialisation, make_units_equal):
        model = edit(patients.classes_setup(build, patients.vectors())).build()[0]
        assert float(model.get_parameter("0.weight").detach().std()) == 0.0
        assert float(model.get_parameter("0.weight")[0, 0].detach()) == 0.25


def test_equal_units_stay_equal_and_are_cured_by_drawing() -> None:
    setup = make_units_equal(patients.live(), 0.05)
    weight = unstuck.fit(setup).model.get_parameter("2.weight").detach()
    assert torch.allclose(weight, weight[:1].expand_as(weight), atol=1e-6)
    weight = unstuck.fit(draw_initialisation(setup)).model.get_parameter("2.weight").detach()
    assert not torch.allclose(weight, weight[:1].expand_as(weight), atol=1e-3)
    with pytest.raises(RemedyError, match="no hidden layer"):
        make_units_equal(patients.classes_setup(lambda: nn.Linear(6, 3), patients.vectors()))


def test_hidden_sizes_grow_and_outer_ones_stay() -> None:
    assert shapes(widened(patients.plain(), 4.0))["2.weight"] == (32, 32)
    image = shapes(widened(patients.convolutional(), 2.0))
    assert (image["first.weight"], image["norm.weight"]) == ((8, 1, 3, 3), (8,))
    assert (image["second.weight"], image["head.weight"]) == ((12, 8, 3, 3), (3, 48))
    sequence = shapes(widened(patients.recurrent(), 3.0))
    assert (sequence["gru.weight_hh_l0"], sequence["head.weight"]) == ((45, 15), (3, 15))
    assert shapes(narrowed(patients.plain(), 2))["2.weight"] == (2, 2)


def test_sizes_that_must_agree_do() -> None:
    sizes = shapes(widened(patients.residual(), 2.0))
    assert sizes["first.weight"] == (6, 6)  # summed with the raw inputs
    assert (sizes["widen.weight"], sizes["inner.weight"], sizes["outer.weight"]) == ((20, 6), (14, 20), (20, 14))
    assert (sizes["norm.weight"], sizes["head.weight"]) == ((20,), (3, 20))
    words = shapes(widened(patients.transformer(), 2.0))
    assert words["encoder.layers.0.linear1.weight"] == (24, 8)
    assert words["encoder.layers.1.linear2.weight"] == (8, 24)


def test_a_size_written_into_the_forward_stays() -> None:
    sizes = shapes(widened(patients.convolutional(flatten=False), 2.0))
    assert (sizes["first.weight"][0], sizes["second.weight"][0]) == (8, 6)


def test_other_layers_are_resized_as_well() -> None:
    def build() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.GroupNorm(2, 4),
            nn.PReLU(4),
            nn.Conv2d(4, 4, 3, padding=1, groups=4),
            nn.ReLU(),
            nn.ConvTranspose2d(4, 2, 2, stride=2),
            nn.Flatten(),
            nn.Linear(2 * 256, 3),
        )

    setup = patients.classes_setup(build, patients.vectors(64, 64).reshape(64, 1, 8, 8))
    sizes = shapes(widened(setup, 2.0))
    assert (sizes["1.weight"], sizes["2.weight"], sizes["3.weight"]) == ((8,), (8,), (8, 1, 3, 3))
    assert (sizes["5.weight"], sizes["7.weight"]) == ((8, 4, 2, 2), (3, 1024))
    assert len(unstuck.fit(widened(setup, 1.5), steps=2).losses) == 2


def test_what_cannot_be_resized_is_refused() -> None:
    with pytest.raises(RemedyError, match="could not be enlarged: it has no hidden layer"):
        widened(patients.classes_setup(lambda: nn.Linear(6, 3), patients.vectors()), 2.0)
    with pytest.raises(RemedyError, match="no wider than that"):
        narrowed(patients.plain(), 100)


def test_the_difference_reads_well() -> None:
    (edit,) = widened(patients.plain(), 4.0).model.edits
    assert (edit.field, edit.before, edit.after) == ("model.0..2", "Linear 8-8", "Linear 32-32")


def test_norms_fit_the_layer_and_the_batch() -> None:
    model = insert_normalisation(patients.plain()).build()[0]
    assert isinstance(model.get_submodule("0.inserted_norm"), nn.BatchNorm1d)
    small = Setup.of(
        model=patients.perceptron,
        loss=nn.CrossEntropyLoss(),
        optimizer=patients.adam,
        train=(patients.vectors(), patients.labels()),
        epochs=1,
        batch_size=21,  # leaves a batch of one, which batch-norm refuses
    )
    edited = insert_normalisation(small)
    assert isinstance(edited.build()[0].get_submodule("0.inserted_norm"), nn.LayerNorm)
    assert len(unstuck.fit(edited).losses) == 4
    words = insert_normalisation(patients.transformer()).build()[0]
    assert isinstance(words.get_submodule("encoder.layers.0.linear1.inserted_norm"), nn.LayerNorm)
    with pytest.raises(RemedyError, match="norm between"):
        insert_normalisation(patients.batch_norm())


def test_dropout_comes_and_goes() -> None:
    setup = patients.batch_norm()
    assert without_dropout(setup).build()[0].get_submodule("3").p == 0.0
    assert with_dropout(setup, 0.7).build()[0].get_submodule("3").p == 0.7

    class Called(patients.Functional):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return nn.functional.dropout(super().forward(inputs), 0.5, self.training)

    called = patients.classes_setup(Called, patients.vectors())
    model = without_dropout(called).build()[0].train()
    batch = called.train.head(8)[0][0]
    assert torch.equal(model(batch), model(batch))
    assert not torch.equal(called.build()[0].train()(batch), torch.zeros(8, 3))


def test_weight_decay_spares_biases_and_is_decoupled() -> None:
    edited = with_weight_decay(patients.plain(), 0.1)
    optimizer = edited.build()[1]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
    assert all(parameter.dim() > 1 for parameter in optimizer.param_groups[0]["params"])
    if "decoupled_weight_decay" in optimizer.param_groups[0]:  # torch 2.7 and later
        assert all(group["decoupled_weight_decay"] for group in optimizer.param_groups)
    assert [group["weight_decay"] for group in without_weight_decay(edited).build()[1].param_groups] == [0.0, 0.0]
    assert [group["weight_decay"] for group in with_weight_decay(patients.live(), 0.1).build()[1].param_groups] == [0.1]
    with pytest.raises(RemedyError, match="without weight decay"):
        without_weight_decay(patients.plain())


def test_an_optimizer_without_decay_is_refused() -> None:
    setup = patients.classes_setup(patients.perceptron, patients.vectors(), optimizer=torch.optim.Rprop)
    with pytest.raises(RemedyError, match="Rprop"):
        with_weight_decay(setup, 0.1)


@pytest.mark.parametrize("patient", ["plain", "convolutional", "recurrent", "transformer", "residual"])
def test_blocks_begin_as_the_identity_and_train(patient: str) -> None:
    setup = getattr(patients, patient)()
    edited = with_blocks(setup, 16)
    first, second = (unstuck.fit(made, steps=3).losses for made in (setup, edited))
    if setup.model.draws_weights:
        model = edited.build()[0]
        assert any("inserted_block" in name for name, _ in model.named_parameters())
    assert len(first) == len(second) == 3 and first != second
    with isolated(setup.seed):
        plain = setup.build()[0].eval()
    with isolated(setup.seed):
        deeper = edited.build()[0].eval()
    batch = setup.train.head(8)[0]
    with torch.no_grad():
        assert torch.allclose(setup.outputs(plain, batch), edited.outputs(deeper, batch), atol=1e-6)
