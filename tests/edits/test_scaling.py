import pytest
import torch
from torch import nn

import unstuck
from tests.edits import patients
from unstuck import patients as small
from unstuck.edits.activations import drop_final_activation
from unstuck.edits.scaling import (
    scale_inputs,
    scale_targets,
    spread_feature_scales,
    standardise_inputs,
    standardise_targets,
)
from unstuck.edits.standardisation import statistics
from unstuck.errors import RemedyError
from unstuck.loop import predict
from unstuck.setup import Setup
from unstuck.setup.randomness import isolated


def test_a_standardised_model_takes_raw_inputs() -> None:
    setup = patients.regression()
    edited = standardise_inputs(setup)
    raw = edited.train.samples[0]  # type: ignore[attr-defined]
    assert torch.equal(raw, setup.train.samples[0])  # type: ignore[attr-defined]
    with isolated(0):
        before = setup.build()[0]
    with isolated(0):
        after = edited.build()[0]
    deviation = raw.std(0, correction=0)
    # A column that never changes becomes ±1: it may serve as the bias.
    expected = torch.where(deviation > 1e-6, (raw - raw.mean(0)) / deviation.clamp_min(1e-6), raw.sign())
    with torch.no_grad():
        assert torch.allclose(after(raw), before(expected), atol=1e-4)
    assert (edited.model.edits[0].field, edited.model.edits[0].before) == ("inputs", "as given")


def test_standardised_data_make_faults_of_scale_disappear() -> None:
    for make in (patients.plain, patients.convolutional, patients.recurrent):
        setup = make()
        faulty = scale_inputs(setup, 300.0, 1000.0)
        assert not torch.allclose(_answers(setup), _answers(faulty), atol=1e-2)
        assert torch.allclose(_answers(standardise_inputs(setup)), _answers(standardise_inputs(faulty)), atol=2e-3)


def _answers(setup: Setup) -> torch.Tensor:
    with isolated(0):
        model = setup.build()[0]
    result: torch.Tensor = predict(setup, model, setup.train.head(8))[0]
    return result


@pytest.mark.parametrize(
    ("make", "shape"), [(patients.convolutional, (1,)), (patients.recurrent, (2,)), (patients.plain, (6,))]
)
def test_statistics_are_per_channel_or_feature(make: object, shape: tuple[int, ...]) -> None:
    model = standardise_inputs(make()).build()[0]  # type: ignore[operator]
    assert model.get_buffer("input_mean_0").shape == shape


def test_a_convolution_over_time_has_channels_first() -> None:
    def model() -> nn.Module:
        return nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(20, 3))

    setup = patients.classes_setup(model, patients.vectors(64, 14).reshape(64, 2, 7))
    assert standardise_inputs(setup).build()[0].get_buffer("input_mean_0").shape == (2,)


def test_several_inputs_have_their_own_statistics() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.head = nn.Embedding(5, 4), nn.Linear(9, 3)

        def forward(self, words: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.head(torch.cat([self.embed(words), left, right], 1))
            return result

    words = patients.labels()
    left, right = patients.vectors(64, 2) * 50 + 3, patients.vectors(64, 3, seed=2)
    setup = Setup.of(
        model=Two,
        loss=nn.CrossEntropyLoss(),
        optimizer=patients.adam,
        train={"words": words, "left": left, "right": right, "labels": patients.labels()},
        epochs=1,
    )
    model = standardise_inputs(setup).build()[0]
    buffers = {name: tuple(buffer.shape) for name, buffer in model.named_buffers()}
    assert buffers == {"input_mean_1": (2,), "input_scale_1": (2,), "input_mean_2": (3,), "input_scale_2": (3,)}
    assert len(unstuck.fit(standardise_inputs(setup), steps=2).losses) == 2


def test_what_the_users_forward_prepares_is_what_is_standardised() -> None:
    inputs = patients.vectors() * 100
    setup = patients.classes_setup(patients.perceptron, inputs, forward=lambda model, batch: model(batch[0] / 100))
    mean = standardise_inputs(setup).build()[0].get_buffer("input_mean_0")
    assert torch.allclose(mean, (inputs / 100).mean(0), atol=1e-5)


def test_a_cured_regression_answers_in_original_units() -> None:
    setup = patients.regression()
    edited = standardise_targets(standardise_inputs(setup))
    targets = setup.train.samples[1]  # type: ignore[attr-defined]
    assert edited.loss is not None
    assert float(edited.loss(targets, targets)) == 0.0
    assert float(edited.loss(targets.mean() + torch.zeros_like(targets), targets)) == pytest.approx(1.0, abs=1e-3)
    model = unstuck.fit(edited, steps=8).model
    answers = predict(edited, model, edited.train.head(64))[0]
    assert abs(float(answers.mean() - targets.mean())) < float(targets.std())
    assert edited.described["loss"] == "MSELoss() in standardised units"


def test_targets_that_are_classes_are_refused() -> None:
    with pytest.raises(RemedyError, match="floating-point"):
        standardise_targets(patients.plain())
    yes_or_no = Setup.of(
        model=lambda: nn.Linear(6, 1),
        loss=nn.BCEWithLogitsLoss(),
        optimizer=patients.adam,
        train=(patients.vectors(), (patients.labels() % 2).float()[:, None]),
        epochs=1,
    )
    for change in (standardise_targets, lambda setup: scale_targets(setup, 10.0)):
        with pytest.raises(RemedyError, match="labels 0 and 1"):
            change(yes_or_no)


def test_faults_change_every_split_alike() -> None:
    setup = patients.plain()
    for faulty in (scale_inputs(setup, 2.0, 1.0), spread_feature_scales(setup)):
        assert faulty.validation is not None and setup.validation is not None
        train, held = (data.head(16)[0][0] for data in (faulty.train, faulty.validation))
        given = setup.validation.head(16)[0][0]
        ratio = (held / given) if faulty.described["inputs"].startswith("features") else (held - 1) / given
        assert torch.allclose(ratio, ratio[:1].expand_as(ratio), rtol=1e-3)
        assert train.shape == (16, 6)
    scales = spread_feature_scales(setup).train.head(64)[0][0].std(0)
    assert float(scales.max() / scales.min()) > 1e4
    pixels = spread_feature_scales(patients.convolutional()).train.head(2000)[0][0]
    assert float(pixels.max()) <= 255.1 and float(pixels.min()) >= -0.1


def test_constant_columns_keep_their_scale() -> None:
    mean, scale = statistics(torch.tensor([[3.0, 1.0], [3.0, 2.0]]), 1)
    assert mean.tolist() == [3.0, 1.5] and scale.tolist() == [1.0, 0.5]


def test_units_stay_where_the_last_activation_is_taken_away() -> None:
    setup = small.regression(
        lambda: small.perceptron(3, 8, 1, last=nn.Sigmoid()), targets=lambda values: 200.0 * values + 500.0
    )
    changed = drop_final_activation(standardise_targets(setup))
    models = []
    for made in (setup, changed):
        with isolated(0):
            models.append(made.build()[0])
    inputs, targets = setup.train.samples  # type: ignore[attr-defined]
    with torch.no_grad():
        expected = models[0][:-1](inputs) * targets.std(correction=0) + targets.mean()
        torch.testing.assert_close(models[1](inputs), expected, rtol=1e-3, atol=1e-2)
