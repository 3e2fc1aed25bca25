"""Regularisation and augmentation: each does exactly what it says, while training only, and leaves no trace."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from tests.edits.patients import PATIENTS, classes_setup, labels, vectors
from unstuck import patients
from unstuck.edits.augmentation import (
    with_flipped_images,
    with_jitter,
    with_noisy_inputs,
    with_shifted_inputs,
)
from unstuck.edits.averaging import (
    CHANCES,
    MEAN,
    VOTE,
    Committee,
    as_committee,
    joined,
    with_averaged_weights,
)
from unstuck.edits.dropped_weights import with_dropped_weights
from unstuck.edits.fewer_features import with_fewer_features
from unstuck.edits.mixing import COPIES, with_mixed_samples
from unstuck.edits.penalties import with_penalty
from unstuck.edits.smoothing import with_smoothed_labels
from unstuck.edits.widening import thinned
from unstuck.errors import RemedyError
from unstuck.loop import fit
from unstuck.loop.evaluate import predict
from unstuck.setup import Setup, StackedData
from unstuck.setup.batch import split_batch
from unstuck.setup.describe import difference
from unstuck.setup.randomness import isolated

Change = Callable[[Setup], Setup]

WHILE_TRAINING: dict[str, Change] = {
    "penalty": lambda setup: with_penalty(setup, absolute=1e-3, squared=1e-3),
    "dropped weights": lambda setup: with_dropped_weights(setup, 0.5),
    "averaged weights": lambda setup: with_averaged_weights(setup, 0.5),
    "noise": lambda setup: with_noisy_inputs(setup, 0.3),
    "smoothing": lambda setup: with_smoothed_labels(setup, 0.1),
}


def built(setup: Setup) -> nn.Module:
    with isolated(0):
        return setup.build()[0]


def answers(setup: Setup, model: nn.Module) -> Tensor:
    return torch.cat(predict(setup, model, setup.train.head(16)))


def weights(model: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


@pytest.mark.parametrize("patient", ["plain", "functional", "convolutional", "recurrent", "batch-norm", "live"])
@pytest.mark.parametrize("name", WHILE_TRAINING)
def test_evaluation_is_as_it_was_and_training_is_not(name: str, patient: str) -> None:
    given = PATIENTS[patient]()
    try:
        changed = WHILE_TRAINING[name](given)
    except RemedyError:
        assert (name, patient) == ("dropped weights", "recurrent")  # one affine layer, and none behind it
        return
    assert torch.equal(answers(given, built(given)), answers(changed, built(changed)))
    assert difference(given, changed)
    before, after = fit(given, steps=6), fit(changed, steps=6)
    if name == "averaged weights":  # trains alike, and answers otherwise
        assert before.losses == after.losses
        assert not torch.equal(answers(given, before.model), answers(changed, after.model))
    else:
        assert before.losses != after.losses
    assert fit(changed, steps=6).losses == after.losses


def test_penalty_adds_its_own_gradient_to_matrices_only() -> None:
    setup = patients.shells(optimizer=patients.sgd(0.1), rows=32, epochs=1)
    changed = with_penalty(setup, absolute=0.02, squared=0.3)
    start, plain, pulled = built(setup), fit(setup).model, fit(changed).model
    for was, alone, with_it in zip(start.parameters(), plain.parameters(), pulled.parameters(), strict=True):
        expected = alone - 0.1 * (0.02 * was.sign() + 0.3 * was) if was.dim() > 1 else alone
        torch.testing.assert_close(with_it, expected)


def test_l1_leaves_more_weights_near_zero() -> None:
    setup = patients.shells(epochs=30)
    sparse = with_penalty(setup, absolute=3e-3)

    def small(trained: Setup) -> float:
        first = next(iter(fit(trained).model.parameters())).abs()
        return float((first < 0.02).double().mean())

    assert small(sparse) > 2.0 * small(setup) + 0.05


def test_dropped_weights_are_put_back_and_keep_their_mean() -> None:
    changed = with_dropped_weights(patients.shells(), 0.4)
    model = built(changed)
    before = weights(model)
    layer = model.get_submodule("2")
    assert isinstance(layer, nn.Linear)
    seen: list[Tensor] = []
    inputs = torch.eye(32)
    model.train()
    for _ in range(200):
        seen.append((layer(inputs) - layer.bias).detach())
    assert all(torch.equal(one, other) for one, other in zip(before, weights(model), strict=True))
    share = float((seen[0] == 0.0).double().mean())
    assert 0.35 < share < 0.45
    torch.testing.assert_close(torch.stack(seen).mean(0), layer.weight.T.detach(), atol=0.06, rtol=0.0)


def test_dropped_weights_are_put_back_where_the_layer_raises() -> None:
    model = built(with_dropped_weights(patients.shells(), 0.4))
    model.train()
    with pytest.raises(RuntimeError):
        model.get_submodule("2")(torch.ones(2, 5))
    assert isinstance(model.get_submodule("2").weight, nn.Parameter)


def test_averaged_weights_are_the_mean_of_the_last_part() -> None:
    setup = patients.shells(epochs=2, rows=64, batch_size=16)  # eight steps
    changed = with_averaged_weights(setup, 0.5)
    model = fit(changed).model
    # The mean is taken of what each step starts from: after 4, 5, 6 and 7 steps.
    along = [weights(fit(setup, steps=steps).model) for steps in (4, 5, 6, 7)]
    mean = [torch.stack(parts).mean(0) for parts in zip(*along, strict=True)]
    twin = built(setup)
    for parameter, value in zip(twin.parameters(), mean, strict=True):
        parameter.data = value
    torch.testing.assert_close(answers(changed, model), answers(setup, twin))
    own = weights(model)
    assert all(torch.equal(a, b) for a, b in zip(own, weights(fit(setup).model), strict=True))


def test_committee_answers_with_the_mean_and_trains_in_turn() -> None:
    setup = patients.shells(epochs=1)
    changed = as_committee(setup, 3, MEAN)
    assert changed.epochs == 3
    model = fit(changed).model
    assert isinstance(model, Committee)
    apart = torch.stack([answers(setup, member) for member in model.members])
    torch.testing.assert_close(answers(changed, model), apart.mean(0))
    assert float(apart.std(0).mean()) > 0.05
    fresh = built(changed)
    assert isinstance(fresh, Committee)
    model = fit(changed, steps=1).model
    assert isinstance(model, Committee)
    moved = [
        not torch.equal(next(iter(old.parameters())), next(iter(new.parameters())))
        for old, new in zip(fresh.members, model.members, strict=True)
    ]
    assert moved == [True, False, False]


def test_committee_refuses_a_live_model() -> None:
    with pytest.raises(RemedyError, match="no second"):
        as_committee(PATIENTS["live"](), 3, MEAN)


def test_ways_to_join_answers() -> None:
    one, two = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([[0.0, 3.0, 0.0]])
    torch.testing.assert_close(joined([one, two], MEAN), torch.tensor([[1.0, 1.5, 0.0]]))
    torch.testing.assert_close(joined([one, two], CHANCES).exp(), (one.softmax(1) + two.softmax(1)) / 2)
    assert joined([one, two, two], VOTE).argmax(1).tolist() == [1]
    torch.testing.assert_close(joined([one, two, two], VOTE).exp().sum(1), torch.ones(1))
    with pytest.raises(ValueError, match="how must be"):
        joined([one], "loudest")


def test_smoothing_spreads_a_share_of_each_label_and_keeps_the_yardstick() -> None:
    setup = patients.shells()
    changed = with_smoothed_labels(setup, 0.1)
    outputs, wanted = torch.tensor([[3.0, 0.0, 0.0]]), torch.tensor([0])
    logs = outputs.log_softmax(1)[0]
    assert changed.loss is not None and changed.described["loss_units"] == "same"
    assert float(changed.loss(outputs, wanted)) == pytest.approx(float(-0.9 * logs[0] - 0.1 * logs.mean()))
    binary = replace(setup, loss=nn.BCEWithLogitsLoss())
    smoothed = with_smoothed_labels(binary, 0.2).loss
    assert smoothed is not None
    assert float(smoothed(torch.zeros(1), torch.ones(1))) == pytest.approx(0.6931, abs=1e-3)
    with pytest.raises(RemedyError, match="cross-entropy"):
        with_smoothed_labels(patients.regression(), 0.1)


def test_noise_has_the_share_of_each_feature() -> None:
    inputs = vectors(2000) * torch.tensor([1.0, 10.0, 0.1, 5.0, 1.0, 1.0])
    changed = with_noisy_inputs(classes_setup(lambda: nn.Sequential(nn.Identity(), nn.Linear(6, 3)), inputs), 0.25)
    model = built(changed)
    seen: list[Tensor] = []
    model.get_submodule("0").register_forward_hook(lambda module, args, output: seen.append(output))
    model.train()
    model(inputs)
    torch.testing.assert_close((seen[0] - inputs).std(0) / inputs.std(0), torch.full((6,), 0.25), atol=0.03, rtol=0.0)


def training_view(setup: Setup, inputs: Tensor) -> Tensor:
    """What the first layer gets to see while training."""
    model, seen = built(setup), list[Tensor]()
    model.get_submodule("0").register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    model.train()
    with isolated(3):
        model(inputs)
    return seen[0]


def bright() -> tuple[Setup, Tensor]:
    """Images whose class is their brightness, whichever way they are turned or moved; and those images."""
    wanted = labels(120)
    images = wanted.reshape(-1, 1, 1, 1) * 3.0 + 0.3 * vectors(120, 64).reshape(120, 1, 8, 8)
    setup = patients.bars()
    assert isinstance(setup.train, StackedData)
    return replace(setup, train=replace(setup.train, samples=(images, wanted))), images


def test_shift_moves_whole_images() -> None:
    setup, images = bright()
    images = images[:40]
    view = training_view(with_shifted_inputs(setup), images)
    moved = 0
    for given, shown in zip(images, view, strict=True):
        inner = shown[:, 1:-1, 1:-1]
        places = [given[:, 1 + y : 7 + y, 1 + x : 7 + x] for y in (-1, 0, 1) for x in (-1, 0, 1)]
        assert sum(torch.equal(inner, place) for place in places) == 1
        moved += not torch.equal(shown, given)
    assert 20 < moved < 40


def test_flip_is_refused_where_it_changes_the_label() -> None:
    setup, images = bright()
    view = training_view(with_flipped_images(setup), images)
    turned = [torch.equal(shown, given.flip(2)) for given, shown in zip(images, view, strict=True)]
    kept = [torch.equal(shown, given) for given, shown in zip(images, view, strict=True)]
    assert 40 < sum(turned) < 80 and sum(turned) + sum(kept) == 120
    bars = patients.bars()
    assert isinstance(bars.train, StackedData)
    values, wanted = (part[bars.train.samples[1] == 0] for part in bars.train.samples)
    left = (values[:, :, :, :4].mean((1, 2, 3)) > values[:, :, :, 4:].mean((1, 2, 3))).long()
    sided = replace(bars, train=replace(bars.train, samples=(values, left)))
    with pytest.raises(RemedyError, match="a flip changes the label"):
        with_flipped_images(sided)


def test_jitter_changes_brightness_and_contrast_of_whole_images() -> None:
    setup = patients.bars()
    assert isinstance(setup.train, StackedData)
    images = setup.train.samples[0][:8]
    view = training_view(with_jitter(setup, 0.2), images)
    for given, shown in zip(images.flatten(1), view.flatten(1), strict=True):
        assert not torch.equal(given, shown)
        assert float(torch.corrcoef(torch.stack([given, shown]))[0, 1]) == pytest.approx(1.0, abs=1e-4)


def test_mixtures_lie_between_two_samples_and_keep_the_steps() -> None:
    setup = patients.shells(epochs=20)
    changed = with_mixed_samples(setup)
    assert isinstance(changed.train, StackedData) and isinstance(setup.train, StackedData)
    assert changed.train.size == (1 + COPIES) * setup.train.size and changed.epochs == 4
    inputs, _, targets = split_batch(changed.train.samples)
    torch.testing.assert_close(targets.sum(1), torch.ones(len(targets)))
    assert torch.equal(inputs[0][: setup.train.size], setup.train.samples[0])
    mixed = targets[setup.train.size :]
    assert 0.2 < float((mixed.max(1).values < 0.99).double().mean()) < 0.9
    with pytest.raises(RemedyError, match="too few"):
        with_mixed_samples(replace(setup, epochs=1))


def test_fewer_features_keeps_those_that_tell() -> None:
    setup = patients.classification()  # the classes depend on the first two of four
    changed = with_fewer_features(setup, 0.5)
    model = built(changed)
    rows = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    other = rows.clone()
    other[:, 2:] += 5.0
    model.eval()
    assert torch.equal(model(rows), model(other))
    assert not torch.equal(model(rows), model(rows + torch.tensor([1.0, 0.0, 0.0, 0.0])))
    with pytest.raises(RemedyError, match="no vectors"):
        with_fewer_features(patients.bars(), 0.5)


def test_thinner_layers_have_a_share_of_the_units() -> None:
    model = built(thinned(patients.shells(), 0.25))
    assert [tuple(part.shape) for part in model.parameters() if part.dim() > 1] == [(8, 4), (8, 8), (3, 8)]


def test_tokens_take_no_noise() -> None:
    with pytest.raises(RemedyError, match="whole numbers"):
        with_noisy_inputs(PATIENTS["transformer"](), 0.1)


def test_labels_are_what_decides_whether_a_shift_is_allowed() -> None:
    images = vectors(64, 64).reshape(64, 1, 8, 8)
    with pytest.raises(RemedyError, match="only where targets are classes"):
        with_shifted_inputs(
            Setup.of(
                model=lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 1)),
                loss=nn.MSELoss(),
                optimizer=patients.adam(),
                train=(images, labels(64).float().unsqueeze(1)),
            )
        )
