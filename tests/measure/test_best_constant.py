"""The best constant against closed forms, and against a grid."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.measure.programs import generator, prepared, setup_of
from unstuck.loop import evaluate
from unstuck.measure.best_constant import BestConstant
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.task import Task
from unstuck.setup import Setup


def best(setup: Setup) -> BestConstant:
    return BestConstant.measure(prepared(setup), Task.measure(setup))


def labels(count: int, shares: tuple[float, ...], seed: int = 0) -> Tensor:
    return torch.multinomial(torch.tensor(shares), count, True, generator=generator(seed))


def cross_entropy_of_shares(train: Tensor, classes: int, scored: Tensor) -> float:
    counts = torch.bincount(train, minlength=classes).double()
    return float(-(counts / counts.sum()).log()[scored].mean())


def test_balanced_classes_cost_the_logarithm_of_their_number() -> None:
    targets = torch.arange(400) % 5
    inputs = torch.randn(400, 3)
    found = best(
        setup_of(lambda: nn.Linear(3, 5), nn.CrossEntropyLoss(), (inputs, targets), validation=(inputs, targets))
    )
    assert found.training_loss == pytest.approx(math.log(5.0), abs=1e-6)
    assert found.held_out_loss == pytest.approx(math.log(5.0), abs=1e-6)
    assert found.test_loss is None
    assert len(found.constant) == 5


@pytest.mark.parametrize("log_probabilities", [False, True])
def test_unbalanced_classes_cost_their_entropy(log_probabilities: bool) -> None:
    train, held_out, test = (labels(n, (0.7, 0.2, 0.1), s) for n, s in ((300, 0), (100, 1), (200, 2)))
    model = (lambda: nn.Sequential(nn.Linear(3, 3), nn.LogSoftmax(1))) if log_probabilities else lambda: nn.Linear(3, 3)
    loss = nn.NLLLoss() if log_probabilities else nn.CrossEntropyLoss()
    splits = {"validation": (torch.randn(100, 3), held_out), "test": (torch.randn(200, 3), test)}
    found = best(setup_of(model, loss, (torch.randn(300, 3), train), **splits))
    assert found.training_loss == pytest.approx(cross_entropy_of_shares(train, 3, train), abs=1e-6)
    assert found.held_out_loss == pytest.approx(cross_entropy_of_shares(train, 3, held_out), abs=1e-4)
    assert found.test_loss == pytest.approx(cross_entropy_of_shares(train, 3, test), abs=1e-4)


def test_log_probabilities_stay_normalised_on_raw_scores() -> None:
    # NLL on raw scores (SET003) falls without end; as log-probabilities it has a best constant.
    targets = labels(200, (0.5, 0.5))
    found = best(
        setup_of(
            lambda: nn.Linear(3, 2),
            nn.NLLLoss(),
            (torch.randn(200, 3), targets),
            validation=(torch.randn(200, 3), targets),
        )
    )
    assert found.training_loss == pytest.approx(cross_entropy_of_shares(targets, 2, targets), abs=1e-6)
    assert sum(math.exp(value) for value in found.constant) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (nn.MSELoss(), lambda t: t.var(0, correction=0).mean()),
        (nn.L1Loss(), lambda t: (t - t.median(0).values).abs().mean()),
        (lambda o, t: (o - t).square().sum(), None),
    ],
)
@pytest.mark.parametrize("outputs", [1, 3])
def test_regression(loss: Any, expected: Any, outputs: int) -> None:
    targets = torch.randn(300, outputs, generator=generator()).exp() * 5.0
    data = (torch.randn(300, 4), targets)
    found = best(setup_of(lambda: nn.Linear(4, outputs), loss, data, validation=data, batch_size=300))
    slow = expected(targets.double()) if expected else (targets.double() - targets.double().mean(0)).square().sum()
    assert found.training_loss == pytest.approx(float(slow), rel=1e-5)


def test_binary_logits_probabilities_and_labels() -> None:
    targets = (torch.rand(500, 3, generator=generator()) < torch.tensor([0.1, 0.5, 0.8])).float()
    shares = targets.double().mean(0)
    entropy = float(-(shares * shares.log() + (1 - shares) * (1 - shares).log()).mean())
    data = (torch.randn(500, 4), targets)
    logits = best(setup_of(lambda: nn.Linear(4, 3), nn.BCEWithLogitsLoss(), data, validation=data))
    sigmoid = lambda: nn.Sequential(nn.Linear(4, 3), nn.Sigmoid())  # noqa: E731
    probabilities = best(setup_of(sigmoid, nn.BCELoss(), data, validation=data))
    assert logits.training_loss == pytest.approx(entropy, abs=1e-5)
    assert probabilities.training_loss == pytest.approx(entropy, abs=1e-5)
    assert probabilities.constant == pytest.approx(shares.tolist(), abs=1e-3)


def test_counts() -> None:
    targets = torch.poisson(torch.full((400, 1), 3.0), generator=generator())
    data = (torch.randn(400, 2), targets)
    found = best(setup_of(lambda: nn.Linear(2, 1), nn.PoissonNLLLoss(), data, validation=data))
    mean = float(targets.mean())
    assert found.training_loss == pytest.approx(mean - mean * math.log(mean), rel=1e-5)


def test_a_constant_per_class_for_targets_per_position() -> None:
    targets = labels(4000, (0.6, 0.3, 0.1)).reshape(100, 40)
    data = (torch.randn(100, 2, 40), targets)
    found = best(setup_of(lambda: nn.Conv1d(2, 3, 1), nn.CrossEntropyLoss(), data, validation=data))
    flat = targets.flatten()
    assert found.training_loss == pytest.approx(cross_entropy_of_shares(flat, 3, flat), abs=1e-5)
    assert len(found.constant) == 3


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 2.0])),
        nn.CrossEntropyLoss(label_smoothing=0.2),
        lambda o, t: functional.cross_entropy(o, t, weight=torch.tensor([1.0, 5.0, 2.0])),
        nn.CrossEntropyLoss(reduction="sum"),
        nn.MultiMarginLoss(),
    ],
    ids=["weighted", "smoothed", "float32 inside", "sum", "margin"],
)
def test_no_constant_nearby_is_better(loss: Any) -> None:
    targets = labels(250, (0.6, 0.3, 0.1))
    data = (torch.randn(250, 2), targets)
    setup = setup_of(lambda: nn.Linear(2, 3), loss, data, validation=data, batch_size=250)
    found = best(setup)
    constant = torch.tensor(found.constant, dtype=torch.float64)
    for seed in range(60):
        moved = constant + 0.3 ** (seed % 4) * torch.randn(3, generator=generator(seed), dtype=torch.float64)
        assert float(loss(moved.float().expand(250, 3), targets)) >= found.training_loss * (1.0 - 1e-5)


def test_quantiles_though_the_loss_has_kinks() -> None:
    targets = torch.randn(401, 2, generator=generator())
    data = (torch.randn(401, 2), targets)

    def pinball(outputs: Tensor, targets: Tensor) -> Tensor:
        return torch.maximum(0.9 * (targets - outputs), -0.1 * (targets - outputs)).mean()

    found = best(setup_of(lambda: nn.Linear(2, 2), pinball, data, validation=data))
    slow = float(pinball(targets.quantile(0.9, dim=0), targets))
    assert found.training_loss == pytest.approx(slow, rel=2e-3)


def test_it_is_what_evaluate_gives_for_a_model_that_is_constant() -> None:
    targets = labels(330, (0.7, 0.3))
    splits = {"validation": (torch.randn(75, 2), labels(75, (0.5, 0.5), 1))}
    setup = setup_of(
        lambda: nn.Linear(2, 2),
        nn.CrossEntropyLoss(weight=torch.tensor([1.0, 9.0])),
        (torch.randn(330, 2), targets),
        **splits,
    )
    found = best(setup)
    model = nn.Linear(2, 2)
    with torch.no_grad():
        model.weight.zero_()
        model.bias.copy_(torch.tensor(found.constant))
    assert found.training_loss == pytest.approx(evaluate(setup, model, setup.train).loss, rel=1e-6)
    assert setup.validation is not None
    assert found.held_out_loss == pytest.approx(evaluate(setup, model, setup.validation).loss, rel=1e-6)


@pytest.mark.parametrize(
    ("loss", "says"),
    [
        (lambda o, t: -(o * (2.0 * t.float()[:, None] - 0.9)).mean(), "falls without end"),
        (lambda o, t: (o.argmax(1) != t).float().mean(), "differentiable"),
        (lambda o, t: (o.log() * 0.0 / 0.0).mean(), "no start gives a finite loss"),
    ],
    ids=["unbounded", "no gradient", "never finite"],
)
def test_what_has_no_best_constant_says_why(loss: Any, says: str) -> None:
    data = (torch.randn(100, 2), labels(100, (0.5, 0.5)))
    setup = setup_of(lambda: nn.Linear(2, 2), loss, data, validation=data)
    with pytest.raises(NotMeasurable, match=says):
        best(setup)


def test_probabilities_of_a_loss_that_is_not_known_stay_probabilities() -> None:
    targets = labels(300, (0.7, 0.2, 0.1))
    data = (torch.randn(300, 2), targets)
    own = lambda o, t: -(o + 1e-9).log().gather(1, t[:, None]).mean() + 0.01 * o[:, 0].mean()  # noqa: E731
    found = best(setup_of(lambda: nn.Sequential(nn.Linear(2, 3), nn.Softmax(1)), own, data, validation=data))
    assert sum(found.constant) == pytest.approx(1.0, abs=1e-6)
    assert found.training_loss > 0.5


def test_dictionaries_images_and_doubles() -> None:
    images = torch.rand(120, 1, 6, 6)
    autoencoder = best(
        setup_of(
            nn.Identity.__call__ and (lambda: nn.Conv2d(1, 1, 1)),
            nn.MSELoss(),
            (images, images),
            validation=(images, images),
        )
    )
    assert autoencoder.training_loss == pytest.approx(float(images.var(0, correction=0).mean()), rel=1e-5)

    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(x)

    data = {"x": torch.randn(90, 3), "labels": labels(90, (0.5, 0.5))}
    named = best(setup_of(Named, nn.CrossEntropyLoss(), data, validation=data))
    assert named.training_loss == pytest.approx(cross_entropy_of_shares(data["labels"], 2, data["labels"]), abs=1e-6)


def test_random_state_stays() -> None:
    data = (torch.randn(90, 3), labels(90, (0.5, 0.5)))
    setup = setup_of(lambda: nn.Linear(3, 2), nn.CrossEntropyLoss(), data)
    before = torch.random.get_rng_state()
    assert best(setup) == best(setup)
    assert torch.equal(before, torch.random.get_rng_state())
