"""Changes towards other data: they do what they say, and the rest stays."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import unstuck
from unstuck import patients
from unstuck.edits.reweighting import (
    BINARY_LOGITS,
    BINARY_PROBABILITIES,
    LOG_PROBABILITIES,
    LOGITS,
    PROBABILITIES,
    joined_with,
    trained_on,
    with_class_shares,
    with_rows,
    with_statistics_of,
    without_features,
)
from unstuck.errors import RemedyError
from unstuck.setup import StackedData


def test_outputs_follow_bayes_in_evaluation_mode_only() -> None:
    setup = patients.classification(epochs=1)
    changed = with_class_shares(setup, LOGITS, [2.0, 1.0, 0.5], "others")
    plain, other = unstuck.fit(setup).model, unstuck.fit(changed).model
    inputs = torch.randn(5, 4)
    expected = plain(inputs).softmax(1) * torch.tensor([2.0, 1.0, 0.5])
    assert torch.allclose(other.eval()(inputs).softmax(1), expected / expected.sum(1, keepdim=True), atol=1e-5)
    assert torch.equal(other.train()(inputs), plain(inputs))


@pytest.mark.parametrize(
    ("form", "last", "width"),
    [
        (LOG_PROBABILITIES, lambda: nn.LogSoftmax(1), 2),
        (PROBABILITIES, lambda: nn.Softmax(1), 2),
        (BINARY_LOGITS, nn.Identity, 1),
        (BINARY_PROBABILITIES, nn.Sigmoid, 1),
    ],
)
def test_every_form_of_outputs_gives_the_same_odds(form: str, last: type[nn.Module], width: int) -> None:
    def model() -> nn.Module:
        return nn.Sequential(nn.Linear(4, width), last())

    setup = patients.classification(model, loss=lambda outputs, targets: outputs.square().mean(), epochs=1)
    plain = unstuck.fit(setup).model.eval()
    changed = unstuck.fit(with_class_shares(setup, form, [1.0, 3.0], "others")).model.eval()

    def odds(outputs: torch.Tensor) -> torch.Tensor:
        if form == LOG_PROBABILITIES:
            return (outputs[:, 1] - outputs[:, 0]).exp()
        if form == PROBABILITIES:
            return outputs[:, 1] / outputs[:, 0]
        return outputs.exp().flatten() if form == BINARY_LOGITS else (outputs / (1.0 - outputs)).flatten()

    inputs = torch.randn(6, 4)
    assert torch.allclose(odds(changed(inputs)), 3.0 * odds(plain(inputs)), rtol=1e-4)


def test_a_column_that_is_taken_out_no_longer_matters() -> None:
    model = unstuck.fit(without_features(patients.shells(epochs=2), [2], 4)).model.eval()
    inputs = torch.randn(5, 4)
    moved = inputs + torch.tensor([0.0, 0.0, 9.0, 0.0])
    assert torch.equal(model(inputs), model(moved)) and not torch.equal(model(inputs), model(inputs + 1.0))


def batch_normed() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8, momentum=0.001), nn.ReLU(), nn.Linear(8, 3))


def test_statistics_are_those_of_the_data_at_the_final_weights() -> None:
    setup = patients.shells(batch_normed, epochs=2)
    given = unstuck.fit(setup).model
    assert isinstance(setup.train, StackedData)
    model = unstuck.fit(with_statistics_of(setup, setup.train, "training", 1000)).model.eval()
    inputs = setup.train.samples[0]
    model(inputs)
    assert torch.equal(model[0].weight, given[0].weight)  # training itself is as it was
    hidden = model[0](inputs)
    assert torch.allclose(model[1].running_mean, hidden.mean(0), atol=1e-4)
    assert not torch.allclose(given[1].running_mean, hidden.mean(0), atol=1e-2)
    assert model[1].momentum == 0.001 and not model[1].training


def test_what_has_no_batch_norm_is_refused() -> None:
    setup = patients.shells()
    with pytest.raises(RemedyError, match="no batch-norm"):
        with_statistics_of(setup, setup.train, "training", 100)


def test_rows_and_samples_are_exchanged_in_as_many_steps() -> None:
    setup = patients.shells()
    assert isinstance(setup.train, StackedData) and isinstance(setup.test, StackedData)
    chosen = with_rows(setup, torch.tensor([3, 3, 5]), "three rows")
    assert isinstance(chosen.train, StackedData) and torch.equal(chosen.train.samples[0][0], setup.train.samples[0][3])
    both = joined_with(setup, setup.test, "both")
    assert both.train.batches_per_epoch == setup.train.batches_per_epoch
    assert isinstance(both.train, StackedData)
    seen = {tuple(row.tolist()) for row in both.train.samples[0]}
    tested = {tuple(row.tolist()) for row in setup.test.samples[0]}
    assert len(seen & tested) == setup.train.size // 2
    instead = trained_on(setup, setup.test, "the others")
    assert isinstance(instead.train, StackedData) and instead.train.size == setup.train.size
    assert {tuple(row.tolist()) for row in instead.train.samples[0]} == tested
