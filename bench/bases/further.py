"""More healthy bases, for the faults of generalisation: tables with honest splits, generated densities, batch-norm."""

import torch
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_iris,
    load_wine,
    make_circles,
    make_classification,
    make_friedman2,
    make_gaussian_quantiles,
    make_moons,
)
from torch import nn

from bench.bases import data
from bench.bases.nets import adam, adamw, batch_norm_perceptron, perceptron, set_up, sgd
from unstuck import Setup


def _table(inputs: object, targets: object, *, numbers: bool = False, test: float = 0.25) -> data.Splits:
    values = torch.as_tensor(inputs, dtype=torch.float32)
    wanted = torch.as_tensor(targets)
    if numbers:
        wanted = ((wanted - wanted.mean()) / wanted.std()).float().unsqueeze(1)
    return data.standardised(data.split(values, wanted, test=test))


def moons() -> Setup:
    """Two half moons that touch."""
    splits = _table(*make_moons(900, noise=0.2, random_state=0))
    return set_up(splits, lambda: perceptron(2, 24, 2), nn.CrossEntropyLoss(), adam(1e-2), epochs=20)


def circles() -> Setup:
    """One ring inside the other, SGD."""
    splits = _table(*make_circles(900, noise=0.1, factor=0.5, random_state=1))
    return set_up(splits, lambda: perceptron(2, 24, 24, 2), nn.CrossEntropyLoss(), sgd(0.1, 0.9), epochs=20)


def quantiles() -> Setup:
    """Three shells of one normal density, cut where they hold a third each."""
    splits = _table(*make_gaussian_quantiles(n_samples=1200, n_features=3, n_classes=3, random_state=2))
    return set_up(splits, lambda: perceptron(3, 32, 3), nn.CrossEntropyLoss(), adam(1e-2), epochs=20)


def clusters() -> Setup:
    """Four classes of two clusters each, among features that say nothing."""
    made = make_classification(1200, 10, n_informative=5, n_redundant=2, n_classes=4, class_sep=1.5, random_state=3)
    return set_up(_table(*made), lambda: perceptron(10, 32, 4), nn.CrossEntropyLoss(), adamw(5e-3, 0.1), epochs=20)


def two_normals() -> Setup:
    """Two normal classes whose densities are known, 2.5 deviations apart."""
    labels = torch.arange(1000) % 2
    inputs = torch.randn(1000, 4, generator=torch.Generator().manual_seed(4))
    inputs[:, 0] += 2.5 * labels
    splits = data.split(inputs, labels)
    return set_up(splits, lambda: perceptron(4, 8, 2), nn.CrossEntropyLoss(), adamw(5e-3, 0.1), epochs=15)


def impedance() -> Setup:
    """Friedman's second function, of four features of very different weight."""
    inputs, targets = make_friedman2(900, noise=20.0, random_state=5)
    return set_up(
        _table(inputs, targets, numbers=True), lambda: perceptron(4, 32, 1), nn.MSELoss(), adam(1e-2), epochs=25
    )


def iris() -> Setup:
    """Three kinds of iris by four lengths."""
    splits = _table(*load_iris(return_X_y=True))
    return set_up(
        splits, lambda: perceptron(4, 12, 3), nn.CrossEntropyLoss(), adamw(1e-2, 0.1), epochs=30, batch_size=16
    )


def breast_cancer_scores() -> Setup:
    """Benign or not, with two outputs."""
    return set_up(
        _table(*load_breast_cancer(return_X_y=True)),
        lambda: perceptron(30, 12, 2),
        nn.CrossEntropyLoss(),
        adamw(3e-3, 0.3),
        epochs=15,
    )


def diabetes_batch_norm() -> Setup:
    """Half of how a disease goes on, through batch-norm."""
    return set_up(
        _table(*load_diabetes(return_X_y=True), numbers=True),
        lambda: batch_norm_perceptron(10, 16, 1),
        nn.MSELoss(),
        adamw(3e-3, 0.3),
        epochs=20,
        batch_size=30,
    )


def digits_batch_norm() -> Setup:
    """Digits through two batch-norms."""
    return set_up(
        data.digits(),
        lambda: batch_norm_perceptron(64, 48, 48, 10),
        nn.CrossEntropyLoss(),
        sgd(0.05, 0.9, 1e-3),
        epochs=15,
    )


def wine_batch_norm() -> Setup:
    """Three growers of wine, through two batch-norms."""
    return set_up(
        _table(*load_wine(return_X_y=True)),
        lambda: batch_norm_perceptron(13, 16, 16, 3),
        nn.CrossEntropyLoss(),
        adamw(5e-3, 0.1),
        epochs=30,
        batch_size=14,
    )


def moons_batch_norm() -> Setup:
    """Two half moons through three batch-norms."""
    splits = _table(*make_moons(1000, noise=0.15, random_state=6))
    return set_up(splits, lambda: batch_norm_perceptron(2, 24, 24, 24, 2), nn.CrossEntropyLoss(), adam(5e-3), epochs=20)


def friedman_batch_norm() -> Setup:
    """A non-linear regression through two batch-norms."""
    return set_up(
        data.friedman(1200, seed=8),
        lambda: batch_norm_perceptron(10, 32, 32, 1),
        nn.MSELoss(),
        adamw(3e-3, 0.1),
        epochs=20,
    )
