"""Healthy set-ups into which the faults of the rules are injected."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import nn

from bench.bases import data, further
from bench.bases.nets import (
    Recurrent,
    Transformer,
    adam,
    adamw,
    batch_norm_perceptron,
    convolutional,
    cosine,
    perceptron,
    set_up,
    sgd,
)
from examples import breast_cancer, diabetes, digits_cnn, digits_mlp, wine
from unstuck import Setup


@dataclass(frozen=True)
class Base:
    """A healthy set-up, and what its inputs are."""

    name: str
    kind: Literal["vectors", "images", "sequences", "tokens"]
    setup: Callable[[], Setup]


def friedman_regression() -> Setup:
    """A non-linear regression with noise: R² cannot pass 0.96."""
    return set_up(data.friedman(), lambda: perceptron(10, 32, 32, 1), nn.MSELoss(), adamw(3e-3, 0.1), epochs=25)


def shells_perceptron() -> Setup:
    """Three classes one inside the other, Adam."""
    return set_up(data.shells(), lambda: perceptron(4, 32, 32, 3), nn.CrossEntropyLoss(), adam(5e-3), epochs=25)


def shells_momentum() -> Setup:
    """The same kind of data, SGD with momentum and weight decay."""
    splits = data.shells(features=6, classes=4, seed=10)
    return set_up(splits, lambda: perceptron(6, 48, 48, 4), nn.CrossEntropyLoss(), sgd(0.05, 0.9, 1e-3), epochs=25)


def surface_tanh() -> Setup:
    """A smooth surface with noise, learnt by tanh units."""
    return set_up(
        data.surface(), lambda: perceptron(2, 32, 32, 1, activation=nn.Tanh), nn.MSELoss(), adam(1e-2), epochs=40
    )


def deep_batch_norm() -> Setup:
    """Five layers with batch-norm."""
    return set_up(
        data.shells(features=5, seed=20),
        lambda: batch_norm_perceptron(5, 48, 48, 48, 48, 3),
        nn.CrossEntropyLoss(),
        adam(3e-3),
        epochs=20,
        scheduler=cosine(20),
        batch_size=64,
    )


def cosine_schedule() -> Setup:
    """Digits, the rate falling to zero along a cosine."""
    return set_up(
        data.digits(),
        lambda: perceptron(64, 64, 10),
        nn.CrossEntropyLoss(),
        sgd(0.1, 0.9, 1e-3),
        epochs=15,
        scheduler=cosine(15),
    )


def convolution_momentum() -> Setup:
    """Digits as images, SGD with momentum."""
    return set_up(
        data.digits(images=True),
        lambda: convolutional(8),
        nn.CrossEntropyLoss(),
        sgd(0.05, 0.9, 1e-3),
        epochs=15,
    )


def gru_pulses() -> Setup:
    """Which of two pulses came first."""
    return set_up(data.pulses(), lambda: Recurrent(2, 16, 2), nn.CrossEntropyLoss(), adam(1e-2), epochs=12)


def gru_forecast() -> Setup:
    """What comes next in a sine wave."""
    return set_up(data.oscillations(), lambda: Recurrent(1, 16, 1), nn.MSELoss(), adam(1e-2), epochs=20)


def transformer_needles() -> Setup:
    """Which of two words came first."""
    return set_up(data.needles(), lambda: Transformer(12, 8, 16, 2), nn.CrossEntropyLoss(), adam(5e-3), epochs=15)


def digits_autoencoder() -> Setup:
    """Digits through a layer of twelve units, and back."""
    splits = data.Splits(*((images, images) for images, _ in data.digits()))
    return set_up(
        splits,
        lambda: perceptron(64, 64, 12, 64, 64, activation=nn.ELU),
        nn.MSELoss(),
        adam(1e-2),
        epochs=25,
        scheduler=cosine(25),
    )


BASES = (
    Base("digits-perceptron", "vectors", digits_mlp.setup),
    Base("digits-convolution", "images", digits_cnn.setup),
    Base("breast-cancer-one-output", "vectors", breast_cancer.setup),
    Base("wine-perceptron", "vectors", wine.setup),
    Base("diabetes-regression", "vectors", diabetes.setup),
    Base("friedman-regression", "vectors", friedman_regression),
    Base("shells-perceptron", "vectors", shells_perceptron),
    Base("shells-momentum", "vectors", shells_momentum),
    Base("surface-tanh", "vectors", surface_tanh),
    Base("deep-batch-norm", "vectors", deep_batch_norm),
    Base("cosine-schedule", "vectors", cosine_schedule),
    Base("convolution-momentum", "images", convolution_momentum),
    Base("gru-pulses", "sequences", gru_pulses),
    Base("gru-forecast", "sequences", gru_forecast),
    Base("transformer-needles", "tokens", transformer_needles),
    Base("digits-autoencoder", "vectors", digits_autoencoder),
)

GENERALISATION = (
    Base("moons", "vectors", further.moons),
    Base("circles", "vectors", further.circles),
    Base("gaussian-quantiles", "vectors", further.quantiles),
    Base("clusters", "vectors", further.clusters),
    Base("two-normals", "vectors", further.two_normals),
    Base("impedance", "vectors", further.impedance),
    Base("iris-perceptron", "vectors", further.iris),
    Base("breast-cancer-two-outputs", "vectors", further.breast_cancer_scores),
    Base("diabetes-batch-norm", "vectors", further.diabetes_batch_norm),
    Base("digits-batch-norm", "vectors", further.digits_batch_norm),
    Base("wine-batch-norm", "vectors", further.wine_batch_norm),
    Base("moons-batch-norm", "vectors", further.moons_batch_norm),
    Base("friedman-batch-norm", "vectors", further.friedman_batch_norm),
)
"""More of them, for the faults of GEN and MIS."""
