"""Small networks, and short names for how they are trained."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from bench.bases.data import Splits
from unstuck import Setup

Activation = Callable[[], nn.Module]
OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]


def perceptron(*sizes: int, activation: Activation = nn.ReLU) -> nn.Sequential:
    """Linear layers of these sizes, with an activation between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1])


def batch_norm_perceptron(*sizes: int) -> nn.Sequential:
    """The same with batch-norm before each ReLU."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip(sizes[:-2], sizes[1:-1], strict=True):
        layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


def convolutional(channels: int, classes: int = 10) -> nn.Sequential:
    """Two convolutions with pooling, for images `[N, 1, 8, 8]`."""
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(channels, 2 * channels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * channels, classes),
    )


class Recurrent(nn.Module):
    """A GRU over `[N, T, features]`, and a linear layer on its last state."""

    def __init__(self, features: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.gru = nn.GRU(features, hidden, batch_first=True)
        self.head = nn.Linear(hidden, outputs)

    def forward(self, sequences: Tensor) -> Tensor:
        states: Tensor = self.gru(sequences)[0]
        outputs: Tensor = self.head(states[:, -1])
        return outputs


class Transformer(nn.Module):
    """Embedded words and places `[N, T]`, an encoder block, and a linear layer on the mean over places."""

    def __init__(self, words: int, length: int, width: int, classes: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.place = nn.Parameter(torch.randn(length, width) * 0.5)
        self.block = nn.TransformerEncoderLayer(width, 2, 2 * width, dropout=0.0, batch_first=True)
        self.head = nn.Linear(width, classes)

    def forward(self, words: Tensor) -> Tensor:
        scores: Tensor = self.head(self.block(self.embed(words) + self.place).mean(dim=1))
        return scores


def sgd(rate: float, momentum: float = 0.0, weight_decay: float = 0.0) -> OptimizerFactory:
    return lambda parameters: torch.optim.SGD(parameters, rate, momentum, weight_decay=weight_decay)


def adam(rate: float = 3e-3) -> OptimizerFactory:
    return lambda parameters: torch.optim.Adam(parameters, rate)


def adamw(rate: float, weight_decay: float) -> OptimizerFactory:
    return lambda parameters: torch.optim.AdamW(parameters, rate, weight_decay=weight_decay)


def cosine(epochs: int) -> Callable[[Optimizer], LRScheduler]:
    """From the full rate to zero."""
    return lambda optimizer: CosineAnnealingLR(optimizer, T_max=epochs)


def set_up(
    splits: Splits,
    model: Callable[[], nn.Module],
    loss: Callable[[Any, Any], Tensor],
    optimizer: OptimizerFactory | None = None,
    *,
    epochs: int = 20,
    batch_size: int = 32,
    **more: Any,
) -> Setup:
    """A set-up on these splits, trained with Adam unless said otherwise; `more` goes to `Setup.of`."""
    return Setup.of(
        model=model,
        loss=loss,
        optimizer=optimizer or adam(),
        train=splits.train,
        validation=splits.validation,
        test=splits.test,
        epochs=epochs,
        batch_size=batch_size,
        **more,
    )
