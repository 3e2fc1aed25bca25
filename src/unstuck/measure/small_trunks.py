"""The layers of the small reference network that turn one input into features, by the kind of input."""

from __future__ import annotations

import abc
from typing import Final, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from unstuck.measure.features import InputKind, flattened, input_kind, shrunk

WIDTH: Final = 64
"""Units of a layer."""

VOCABULARY: Final = 20_000
"""Tokens told apart at most."""

PLACES: Final = 256
"""Tokens of a sequence that are read at most, where it has one answer."""


def lines_up(part: Tensor, positions: tuple[int, ...]) -> bool:
    """Whether an input has the positions that the targets have."""
    if len(positions) == 1:
        return part.dim() in (2, 3) and part.shape[1] == positions[0] or part.shape[2:] == positions
    return part.shape[2:] == positions


def trunk_for(part: Tensor, positions: tuple[int, ...], flat: bool = False) -> Trunk:
    """The layers for one input.

    Args:
        part: The training inputs, `[N, …]`.
        positions: Shape of the positions that each have a target; () where a sample has one answer.
        flat: Whether nothing may be pooled away, since every number of the input counts.

    Returns:
        From the prepared input to features `[N, width]`, or `[N, width, …]`.
    """
    kind = input_kind(part)
    if flat and kind is not InputKind.TOKENS:
        return _Vectors(part)
    if positions and len(positions) == 1:
        if kind is InputKind.TOKENS:
            return _Tokens(part, pooled=False)
        return _Sequences(part if part.dim() > 2 else part[..., None], pooled=False, places=positions[0])
    if kind is InputKind.TOKENS:
        return _Tokens(part, pooled=True)
    if kind is InputKind.SEQUENCES:
        return _Sequences(part, pooled=True, places=max(part.shape[1:]))
    if kind is InputKind.IMAGES:
        return _Images(part, pooled=not positions)
    return _Vectors(part)


class Trunk(nn.Module, abc.ABC):
    """What all of them have.

    Attributes:
        title: How the network is called in a report.
        width: Number of features that come out.
    """

    title: str = ""
    width: int = WIDTH

    @abc.abstractmethod
    def prepared(self, part: Tensor) -> Tensor:
        """Inputs as the layers take them."""


class _Standard(Trunk):
    """Standardises by the statistics of the training inputs."""

    mean: Tensor
    deviation: Tensor

    def fit(self, part: Tensor, axes: tuple[int, ...]) -> None:
        mean, deviation = part.mean(axes, keepdim=True), part.std(axes, correction=0, keepdim=True)
        self.register_buffer("mean", mean)
        constant = deviation <= 1e-6 * mean.abs()
        self.register_buffer("deviation", torch.where(constant, torch.ones_like(mean), deviation))

    @abc.abstractmethod
    def sized(self, part: Tensor) -> Tensor:
        """Inputs as the layers take them."""

    def prepared(self, part: Tensor) -> Tensor:
        """Inputs as the layers take them, standardised."""
        return (self.sized(part) - self.mean) / self.deviation


@final
class _Vectors(_Standard):
    title = "multi-layer perceptron"

    def __init__(self, part: Tensor) -> None:
        super().__init__()
        flat = self.sized(part)
        self.fit(flat, (0,))
        self.width = 2 * WIDTH
        hidden = nn.Linear(flat.shape[1], 2 * WIDTH)
        self.layers = nn.Sequential(hidden, nn.ReLU(), nn.Linear(2 * WIDTH, 2 * WIDTH), nn.ReLU())

    def sized(self, part: Tensor) -> Tensor:
        return flattened(part)

    def forward(self, part: Tensor) -> Tensor:
        return torch.as_tensor(self.layers(part))


@final
class _Images(_Standard):
    title = "small convolutional network"

    def __init__(self, part: Tensor, pooled: bool) -> None:
        super().__init__()
        self.pooled = pooled
        images = self.sized(part)
        self.fit(images, (0, 2, 3))
        first = 2 if pooled and min(images.shape[-2:]) > 16 else 1
        second = 2 if pooled else 1
        self.layers = nn.Sequential(
            nn.Conv2d(images.shape[1], 16, 3, first, 1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, second, 1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
        )
        self.width = WIDTH if pooled else 32
        pool = [nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(512, WIDTH), nn.ReLU()]
        self.end = nn.Sequential(*pool) if pooled else nn.Identity()

    def sized(self, part: Tensor) -> Tensor:
        images = part.float()
        if images.shape[-1] <= 4 < images.shape[1]:
            images = images.movedim(-1, 1)  # channels last
        return shrunk(images) if self.pooled else images

    def forward(self, part: Tensor) -> Tensor:
        return torch.as_tensor(self.end(self.layers(part)))


@final
class _Sequences(_Standard):
    title = "small convolutional network"

    def __init__(self, part: Tensor, pooled: bool, places: int) -> None:
        super().__init__()
        self.last = part.shape[1] == places  # whether features come last
        series = self.sized(part)
        self.fit(series, (0, 2))
        self.layers = _Convolutions(series.shape[1], pooled)
        self.width = self.layers.width

    def sized(self, part: Tensor) -> Tensor:
        series = part.float() if part.dim() > 2 else part.float()[..., None]
        return series.transpose(1, 2).contiguous() if self.last else series

    def forward(self, part: Tensor) -> Tensor:
        return torch.as_tensor(self.layers(part))


@final
class _Tokens(Trunk):
    title = "small network of embeddings"

    def __init__(self, part: Tensor, pooled: bool) -> None:
        super().__init__()
        self.pooled = pooled
        self.vocabulary = min(int(part.max()) + 2, VOCABULARY)
        self.embedding = nn.Embedding(self.vocabulary, 32)
        self.place = nn.Parameter(0.1 * torch.randn(32, self.prepared(part[:1]).shape[1]))
        self.layers = _Convolutions(32, pooled)
        self.width = self.layers.width

    def prepared(self, part: Tensor) -> Tensor:
        places = part.reshape(len(part), -1).long() % self.vocabulary
        return places[:, :PLACES] if self.pooled else places

    def forward(self, part: Tensor) -> Tensor:
        places = self.place[:, : part.shape[1]]
        return torch.as_tensor(self.layers(self.embedding(part).transpose(1, 2) + places))


@final
class _Convolutions(nn.Module):
    """Two convolutions that see a position and those before it; then mean, maximum, first and last."""

    def __init__(self, features: int, pooled: bool) -> None:
        super().__init__()
        self.pooled = pooled
        self.width = 4 * WIDTH if pooled else WIDTH
        self.first = nn.Conv1d(features, WIDTH, 3)
        self.second = nn.Conv1d(WIDTH, WIDTH, 3, dilation=2)

    def forward(self, series: Tensor) -> Tensor:
        hidden = functional.relu(self.first(functional.pad(series, (2, 0))))
        hidden = hidden + functional.relu(self.second(functional.pad(hidden, (4, 0))))
        if not self.pooled:
            return hidden
        return torch.cat([hidden.mean(2), hidden.amax(2), hidden[..., 0], hidden[..., -1]], 1)
