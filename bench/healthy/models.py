"""Healthy set-ups whose model naive tools accuse."""

import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn

from bench.bases import data
from bench.bases.nets import adam, adamw, batch_norm_perceptron, perceptron, set_up, sgd
from bench.programs.data import normal
from unstuck import Setup


def helpful_dropout() -> Setup:
    """The training loss, taken with dropout, lies above the validation loss."""

    def dropping() -> nn.Sequential:
        return nn.Sequential(
            nn.Linear(64, 128),
            nn.ReLU(),
            nn.Dropout(0.4),
            nn.Linear(128, 64),
            nn.ReLU(),
            nn.Dropout(0.4),
            nn.Linear(64, 10),
        )

    return set_up(data.digits(), dropping, nn.CrossEntropyLoss(), adam(3e-3), epochs=20)


def frozen_backbone() -> Setup:
    """A first layer that is fixed on purpose: the principal components of the digits."""
    splits = data.digits()
    components = PCA(24, random_state=0).fit(splits.train[0].numpy())

    def network() -> nn.Sequential:
        backbone = nn.Linear(64, 24)
        backbone.weight.data = torch.tensor(components.components_, dtype=torch.float32)
        backbone.bias.data = -backbone.weight.data @ torch.tensor(components.mean_, dtype=torch.float32)
        return nn.Sequential(backbone.requires_grad_(False), *perceptron(24, 64, 10))

    return set_up(splits, network, nn.CrossEntropyLoss(), adamw(3e-3, 0.1), epochs=12)


def linear_model() -> Setup:
    """A linear model on linear data."""
    splits = data.linear(1000, 12, noise=0.3, seed=400)
    return set_up(splits, lambda: nn.Linear(12, 1), nn.MSELoss(), sgd(0.03), epochs=12)


def two_linear_layers() -> Setup:
    """A matrix of rank 3 as the product of two, with nothing between on purpose."""
    inputs = normal(1000, 12, seed=410)
    mixing = normal(12, 3, seed=411) @ normal(3, 6, seed=412) / 6
    splits = data.split(inputs, inputs @ mixing + 0.3 * normal(1000, 6, seed=413))
    return set_up(
        splits,
        lambda: nn.Sequential(nn.Linear(12, 3, bias=False), nn.Linear(3, 6)),
        nn.MSELoss(),
        adam(1e-2),
        epochs=25,
    )


def autoencoded(splits: data.Splits) -> data.Splits:
    """The inputs are the targets."""
    return data.Splits(*((part[0], part[0]) for part in splits))


def bottleneck() -> Setup:
    """Thirty features through five units: what is lost is meant to be lost."""
    hidden = normal(1000, 5, seed=420)
    inputs = torch.tanh(hidden @ normal(5, 30, seed=421) / 2) + 0.2 * normal(1000, 30, seed=422)
    return set_up(
        autoencoded(data.split(inputs, inputs)),
        lambda: perceptron(30, 48, 5, 48, 30, activation=nn.Tanh),
        nn.MSELoss(),
        adam(5e-3),
        epochs=25,
    )


def linear_autoencoder() -> Setup:
    """Principal components, by gradient descent."""
    return set_up(
        autoencoded(data.digits()),
        lambda: nn.Sequential(nn.Linear(64, 8), nn.Linear(8, 64)),
        nn.MSELoss(),
        adam(1e-2),
        epochs=15,
    )


class Tied(nn.Module):
    """An autoencoder whose decoder is its encoder, transposed."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.encode = nn.Linear(features, hidden)
        self.offset = nn.Parameter(torch.zeros(features))

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.relu(self.encode(inputs)) @ self.encode.weight + self.offset


def weight_tying() -> Setup:
    return set_up(autoencoded(data.digits()), lambda: Tied(64, 32), nn.MSELoss(), adam(5e-3), epochs=25)


def four_units() -> Setup:
    """Four hidden units are enough for a ring in the plane."""
    splits = data.shells(1200, features=2, classes=2, seed=430)
    return set_up(splits, lambda: perceptron(2, 4, 2), nn.CrossEntropyLoss(), adam(2e-2), epochs=40)


def sigmoid_layer() -> Setup:
    """One layer of sigmoids."""
    splits = data.surface(seed=440)
    return set_up(splits, lambda: perceptron(2, 32, 1, activation=nn.Sigmoid), nn.MSELoss(), adam(3e-2), epochs=40)


def tanh_layers() -> Setup:
    splits = data.shells(seed=450)
    return set_up(
        splits, lambda: perceptron(4, 24, 24, 3, activation=nn.Tanh), nn.CrossEntropyLoss(), adam(1e-2), epochs=20
    )


def sparse_units() -> Setup:
    """Biases that start at -1: four of five activations are zero, and each unit is needed somewhere."""

    def sparse() -> nn.Sequential:
        first = nn.Linear(4, 96)
        nn.init.normal_(first.weight, std=0.6)
        nn.init.constant_(first.bias, -1.0)
        return nn.Sequential(first, nn.ReLU(), nn.Linear(96, 3))

    return set_up(data.shells(seed=460), sparse, nn.CrossEntropyLoss(), adam(1e-2), epochs=20)


def zero_last_layer() -> Setup:
    """The last layer starts at zero: every class is as likely, and the first step breaks the tie."""

    def network() -> nn.Sequential:
        last = nn.Linear(64, 10)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), last)

    return set_up(data.digits(), network, nn.CrossEntropyLoss(), adamw(5e-3, 0.1), epochs=20)


class Residual(nn.Module):
    """Adds what two layers make of the input to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = inputs + self.inner(inputs)
        return outputs


def deep_residual() -> Setup:
    """Twelve layers, in blocks that each add to their input."""
    splits = data.shells(seed=470)

    def deep() -> nn.Sequential:
        blocks = (Residual(24) for _ in range(5))
        return nn.Sequential(nn.Linear(4, 24), *blocks, nn.LayerNorm(24), nn.Linear(24, 3))

    return set_up(splits, deep, nn.CrossEntropyLoss(), adam(3e-3), epochs=16, batch_size=64)


def batch_norm() -> Setup:
    splits = data.friedman(seed=7)
    return set_up(
        splits, lambda: batch_norm_perceptron(10, 32, 32, 1), nn.MSELoss(), adamw(5e-3, 0.1), epochs=20, batch_size=64
    )


class TwoInputs(nn.Module):
    """A measurement and a word, each with its own way in."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, 4)
        self.layers = perceptron(7, 32, 1)

    def forward(self, measurements: Tensor, words: Tensor) -> Tensor:
        outputs: Tensor = self.layers(torch.cat([measurements, self.embed(words)], dim=1))
        return outputs


def two_inputs() -> Setup:
    measurements = normal(1200, 3, seed=480)
    words = torch.arange(1200) % 5
    slopes = normal(5, 3, seed=481)
    targets = (measurements * slopes[words]).sum(1, keepdim=True) + 0.2 * normal(1200, 1, seed=482)
    return set_up(data.split(measurements, words, targets), TwoInputs, nn.MSELoss(), adam(1e-2), epochs=25)


def bag_of_words() -> Setup:
    """Embedded words, summed."""

    def network() -> nn.Sequential:
        return nn.Sequential(nn.EmbeddingBag(30, 8, mode="sum"), nn.Linear(8, 2))

    return set_up(data.reviews(), network, nn.CrossEntropyLoss(), adam(2e-2), epochs=20)


def dilated_convolutions() -> Setup:
    """Convolutions along a sequence, their maximum over time."""
    splits = data.Splits(*((s.transpose(1, 2).contiguous(), y) for s, y in data.pulses(1500, seed=490)))

    def network() -> nn.Sequential:
        return nn.Sequential(
            nn.Conv1d(2, 16, 5, padding=2),
            nn.ReLU(),
            nn.Conv1d(16, 16, 7, padding=9, dilation=3),
            nn.ReLU(),
            nn.AdaptiveMaxPool1d(1),
            nn.Flatten(),
            nn.Linear(16, 2),
        )

    return set_up(splits, network, nn.CrossEntropyLoss(), adam(5e-3), epochs=12)


class Committee(nn.Module):
    """The mean of four perceptrons."""

    def __init__(self) -> None:
        super().__init__()
        self.members = nn.ModuleList(perceptron(10, 16, 1) for _ in range(4))

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.stack([member(inputs) for member in self.members]).mean(0)


def committee() -> Setup:
    return set_up(data.friedman(seed=8), Committee, nn.MSELoss(), adamw(1e-2, 0.1), epochs=25, batch_size=64)
