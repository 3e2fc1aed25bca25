"""Which outputs depend on which samples, against the Jacobian."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unstuck import patients
from unstuck.edits.batch_axis import TornSamples, transpose_for_view
from unstuck.measure.preparation import Prepared
from unstuck.measure.sample_mixing import SampleMixing
from unstuck.setup import Setup


def mixing(setup: Setup) -> SampleMixing:
    return SampleMixing.measure(Prepared.measure(setup))


def crosses(model: nn.Module, inputs: Tensor) -> bool:
    """Whether any output depends on another sample: the slow and obvious way."""
    model.eval()
    jacobian = torch.autograd.functional.jacobian(lambda values: model(values).sum(1), inputs)
    between = jacobian.abs().sum(2)
    return bool((between - between.diag().diag()).sum() > 1e-6 * between.sum())


class Sequences(nn.Module):
    """A GRU on features as time steps, reached by a view or a transpose."""

    def __init__(self, turn: str, batch_first: bool = False) -> None:
        super().__init__()
        self.turn = turn
        self.gru = nn.GRU(1, 8, batch_first=batch_first)
        self.head = nn.Linear(8, 3)

    def forward(self, values: Tensor) -> Tensor:
        if self.turn == "view":
            states = self.gru(values.view(values.shape[1], values.shape[0]).unsqueeze(2))[0][-1]
        elif self.turn == "transpose":
            states = self.gru(values.T.unsqueeze(2))[0][-1]
        else:
            states = self.gru(values.unsqueeze(2))[0][:, -1]
        return self.head(states)


class Centred(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values - values.mean(0)


MODELS: list[tuple[Any, str, bool]] = [
    (lambda: patients.perceptron(4, 8, 3), "", False),
    (lambda: nn.Sequential(nn.Linear(4, 8), TornSamples(), nn.ReLU(), nn.Linear(8, 3)), "1", True),
    (lambda: nn.Sequential(nn.Linear(4, 8), Centred(), nn.Linear(8, 3)), "1", True),
    (lambda: Sequences("none"), "gru", True),
    (lambda: Sequences("none", batch_first=True), "", False),
    (lambda: Sequences("view"), "gru", False),
    (lambda: Sequences("transpose"), "", False),
    (lambda: nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)), "", False),
]


@pytest.mark.parametrize(("model", "module", "inside"), MODELS)
def test_mixing_and_its_place(model: Any, module: str, inside: bool) -> None:
    found = mixing(patients.classification(model))
    assert (found.mixing > 1e-3) is crosses(model(), torch.randn(13, 4))
    assert (found.module, found.inside) == (module, inside)


def test_whole_number_inputs_are_looked_at_as_well() -> None:
    def tokens(values: Tensor) -> Tensor:
        return (values > 0).long()

    class Words(nn.Module):
        def __init__(self, batch_first: bool) -> None:
            super().__init__()
            self.embed = nn.Embedding(2, 8)
            self.block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=batch_first)
            self.head = nn.Linear(8, 3)

        def forward(self, words: Tensor) -> Tensor:
            return self.head(self.block(self.embed(words)).mean(1))

    assert mixing(patients.classification(lambda: Words(True), inputs=tokens)).mixing == 0.0
    assert mixing(patients.classification(lambda: Words(False), inputs=tokens)).module.startswith("block")


def test_batch_norm_without_running_statistics_is_named_as_such() -> None:
    norm = nn.BatchNorm1d(8, track_running_stats=False)
    found = mixing(patients.classification(lambda: nn.Sequential(nn.Linear(4, 8), norm, nn.Linear(8, 3)).apply(str)))
    assert found.mixing > 1e-3 and found.batch_norm


def test_a_transpose_takes_the_place_of_the_view() -> None:
    mended = transpose_for_view(patients.classification(lambda: Sequences("view")))
    assert mixing(mended).mixing == 0.0
