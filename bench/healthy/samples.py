"""Healthy set-ups whose data naive tools accuse."""

from dataclasses import replace

import torch
from sklearn.datasets import load_iris
from torch import nn

from bench.bases import data
from bench.bases.nets import adam, adamw, batch_norm_perceptron, cosine, perceptron, set_up, sgd
from bench.programs.data import normal, uniform
from unstuck import Setup


def wrong_labels() -> Setup:
    """A fifth of all labels are wrong, for ever: 0.8 is the best there is, and memorising would be worse."""
    splits = data.flipped(data.shells(2400, features=2, seed=300), 0.2, 3)
    return set_up(
        splits,
        lambda: perceptron(2, 24, 24, 3),
        nn.CrossEntropyLoss(),
        adamw(1e-2, 0.01),
        epochs=25,
        batch_size=64,
        scheduler=cosine(25),
    )


def overlapping_classes() -> Setup:
    """Two clusters one into the other: a sixth of the samples cannot be told."""
    splits = data.blobs((1200, 1200), features=4, apart=0.6, seed=310)
    return set_up(splits, lambda: perceptron(4, 4, 2), nn.CrossEntropyLoss(), adamw(5e-3, 0.1), epochs=12)


def weak_signal() -> Setup:
    """Nine tenths of the variance are noise, and the tenth is learnt."""
    splits = data.linear(3000, 4, noise=3.0, seed=320)
    return set_up(splits, lambda: nn.Linear(4, 1), nn.MSELoss(), sgd(0.01), epochs=10, batch_size=64)


def rare_but_clear() -> Setup:
    """One in twenty belongs to the second class, and stands apart."""
    splits = data.blobs((1140, 60), features=5, apart=2.5, seed=330)
    return set_up(splits, lambda: perceptron(5, 16, 2), nn.CrossEntropyLoss(), adam(5e-3), epochs=15)


def raw_pixels() -> Setup:
    """Pixels from 0 to 16 train as well as any."""
    return set_up(
        data.digits(white=16.0), lambda: perceptron(64, 64, 10), nn.CrossEntropyLoss(), adamw(1e-3, 0.1), epochs=15
    )


def batch_norm_first() -> Setup:
    """Features of deviations from 0.01 to 1000, and a batch-norm that takes them as they come."""
    splits = data.friedman(seed=4)
    scales = torch.logspace(-2, 3, 10)
    unscaled = data.Splits(*((inputs * scales + scales, targets) for inputs, targets in splits))
    return set_up(
        unscaled,
        lambda: nn.Sequential(nn.BatchNorm1d(10), *perceptron(10, 32, 32, 1)),
        nn.MSELoss(),
        adamw(5e-3, 0.1),
        epochs=35,
        batch_size=64,
    )


def distant_targets() -> Setup:
    """Targets around 500, where the last bias starts."""
    splits = data.Splits(*((inputs, heights + 500) for inputs, heights in data.surface(seed=340)))

    def from_mean() -> nn.Sequential:
        last = nn.Linear(32, 1)
        nn.init.constant_(last.bias, 500.0)
        return nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), last)

    return set_up(splits, from_mean, nn.MSELoss(), adam(1e-2), epochs=40)


def thirty_tested() -> Setup:
    """Thirty test samples: their score strays by chance."""
    splits = data.friedman(seed=5)
    few = splits._replace(test=tuple(part[:30] for part in splits.test))
    return set_up(few, lambda: perceptron(10, 32, 32, 1), nn.MSELoss(), adamw(3e-3, 0.1), epochs=25)


def sixty_samples() -> Setup:
    """Few samples of an easy kind."""
    splits = data.blobs((100, 100, 100), features=4, apart=3.0, seed=350)
    few = splits._replace(train=tuple(part[:60] for part in splits.train))
    return set_up(few, lambda: perceptron(4, 8, 3), nn.CrossEntropyLoss(), adamw(1e-2, 0.1), epochs=40, batch_size=8)


def iris() -> Setup:
    """Flowers of which two kinds overlap; centimetres, not standardised."""
    inputs, kinds = load_iris(return_X_y=True)
    splits = data.split(torch.tensor(inputs, dtype=torch.float32), torch.tensor(kinds), test=0.25)
    return set_up(
        splits, lambda: perceptron(4, 16, 3), nn.CrossEntropyLoss(), adamw(2e-2, 0.1), epochs=60, batch_size=16
    )


def empty_features() -> Setup:
    """Sparse zeros and ones; two features never occur, two occur twice."""
    inputs = (uniform(0, 1, 1200, 24, seed=360) < 0.15).float()
    labels = ((inputs[:, :5].sum(1) > 0) & (inputs[:, 5:10].sum(1) > 0)).long()
    inputs = torch.cat([inputs, torch.zeros(1200, 2), inputs[:, :2]], dim=1)
    return set_up(
        data.split(inputs, labels), lambda: perceptron(28, 24, 2), nn.CrossEntropyLoss(), adamw(5e-3, 0.1), epochs=20
    )


def harmless_drift() -> Setup:
    """The test inputs have moved, along a feature that does not matter."""
    splits = data.friedman(seed=6)
    inputs, targets = splits.test
    moved = inputs + torch.tensor([0.0] * 9 + [1.0])
    return set_up(
        splits._replace(test=(moved, targets)),
        lambda: perceptron(10, 32, 32, 1),
        nn.MSELoss(),
        adamw(3e-3, 0.3),
        epochs=25,
    )


def slight_gap() -> Setup:
    """The validation loss lies a little above the training loss, as it does."""
    return set_up(
        data.digits(images=False),
        lambda: batch_norm_perceptron(64, 64, 10),
        nn.CrossEntropyLoss(),
        adamw(3e-3, 0.3),
        epochs=12,
    )


def no_validation() -> Setup:
    """Trained and tested without a validation split."""
    splits = data.surface(seed=370)
    return replace(
        set_up(splits, lambda: perceptron(2, 32, 32, 1), nn.MSELoss(), adam(1e-2), epochs=40), validation=None
    )


def outliers_in_inputs() -> Setup:
    """Features with heavy tails, as sizes and prices have them."""
    inputs = normal(1200, 4, seed=380)
    targets = torch.tanh(inputs[:, :1]) + 0.5 * inputs[:, 1:2] + 0.2 * normal(1200, 1, seed=381)
    heavy = torch.sinh(inputs)
    return set_up(
        data.standardised(data.split(heavy, targets)),
        lambda: perceptron(4, 32, 1),
        nn.MSELoss(),
        adamw(5e-3, 0.1),
        epochs=25,
    )
