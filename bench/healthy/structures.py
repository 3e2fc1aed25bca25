"""Healthy set-ups whose network gives several outputs."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import TensorDataset

from bench.bases import data
from bench.bases.nets import adam, perceptron, set_up
from unstuck import Setup


class Heads(nn.Module):
    """A body with a head for the digit and one for how much ink it has."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(64, 64), nn.ReLU())
        self.digit, self.ink = nn.Linear(64, 10), nn.Linear(64, 1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        hidden = self.body(images)
        return {"digit": self.digit(hidden), "ink": self.ink(hidden).squeeze(1)}


def two_heads() -> Setup:
    """A class and a number at once, their losses added."""

    def with_ink(split: data.Samples) -> Any:
        images, digits = split
        return images, (digits, 10.0 * (images.mean(1) - 0.3))

    def loss(outputs: dict[str, Tensor], targets: tuple[Tensor, Tensor]) -> Tensor:
        return functional.cross_entropy(outputs["digit"], targets[0]) + functional.mse_loss(outputs["ink"], targets[1])

    splits = data.Splits(*map(with_ink, data.digits()))
    return set_up(splits, Heads, loss, adam(3e-3), epochs=20)


class Variational(nn.Module):
    """A variational autoencoder of few numbers (Kingma and Welling 2014)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 64), nn.ReLU())
        self.mean, self.log_variance = nn.Linear(64, 6), nn.Linear(64, 6)
        self.decoder = perceptron(6, 64, 64)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hidden = self.encoder(images)
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        drawn = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        return self.decoder(drawn), mean, log_variance


def variational() -> Setup:
    """Reconstruction and divergence, per sample."""

    def loss(outputs: tuple[Tensor, Tensor, Tensor], images: Tensor) -> Tensor:
        logits, mean, log_variance = outputs
        shown = functional.binary_cross_entropy_with_logits(logits, images, reduction="none").sum(1)
        return (shown - 0.5 * (1.0 + log_variance - mean.square() - log_variance.exp()).sum(1)).mean()

    def itself(split: data.Samples) -> tuple[Tensor, Tensor]:
        images = split[0].clamp(0.0, 1.0)
        return images, images

    return set_up(data.Splits(*map(itself, data.digits())), Variational, loss, adam(3e-3), epochs=80)


class Shared(nn.Module):
    """One network on an anchor, a positive and a negative."""

    def __init__(self) -> None:
        super().__init__()
        self.network = perceptron(64, 64, 8)

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.network(anchor), self.network(positive), self.network(negative)


def triplets() -> Setup:
    """Nearer to another image of the same digit than to one of the next digit, by a margin (Schroff et al. 2015)."""

    def three(split: data.Samples) -> TensorDataset:
        images, digits = split
        like = [(digits == digit).nonzero()[:, 0] for digit in range(10)]
        places = torch.arange(len(digits))
        positive = torch.stack([like[d][place % len(like[d])] for place, d in zip(places, digits, strict=True)])
        negative = torch.stack(
            [like[(d + 1) % 10][place % len(like[(d + 1) % 10])] for place, d in zip(places, digits, strict=True)]
        )
        return TensorDataset(images, images[positive], images[negative], digits)

    def loss(outputs: tuple[Tensor, Tensor, Tensor], digits: Tensor) -> Tensor:
        return functional.triplet_margin_loss(*outputs)

    train, validation, test = map(three, data.digits())
    return Setup.of(
        model=Shared, loss=loss, optimizer=adam(3e-3), train=train, validation=validation, test=test, batch_size=32,
        epochs=20,
    )  # fmt: skip
