"""Small set-ups of every form that edits must work on."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from unstuck.setup import Setup


def vectors(samples: int = 64, features: int = 6, seed: int = 0) -> Tensor:
    return torch.randn(samples, features, generator=torch.Generator().manual_seed(seed))


def labels(samples: int = 64, classes: int = 3) -> Tensor:
    return torch.arange(samples) % classes


def perceptron() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))


class Functional(nn.Module):
    """Activations as functions of torch, a residual sum, and parts that a user's `forward` may call."""

    def __init__(self, final: str = "none") -> None:
        super().__init__()
        self.encoder = nn.Linear(6, 8)
        self.middle = nn.Linear(8, 8)
        self.head = nn.Linear(8, 3)
        self.final = final

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = functional.relu(self.encoder(inputs))
        hidden = hidden + torch.relu(self.middle(hidden))
        scores: Tensor = self.head(hidden)
        return torch.softmax(scores, dim=1) if self.final == "softmax" else scores


class Convolutional(nn.Module):
    """Sizes written into the forward, as tutorials do, or flattened by a layer."""

    def __init__(self, flatten: bool = True) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 6, 3, padding=1)
        self.head = nn.Linear(6 * 4, 3)
        self.flatten = flatten

    def forward(self, images: Tensor) -> Tensor:
        hidden = functional.max_pool2d(functional.relu(self.norm(self.first(images))), 2)
        hidden = functional.max_pool2d(functional.relu(self.second(hidden)), 2)
        hidden = hidden.flatten(1) if self.flatten else hidden.view(-1, 24)
        scores: Tensor = self.head(hidden)
        return scores


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(2, 5, batch_first=True)
        self.head = nn.Linear(5, 3)

    def forward(self, sequences: Tensor) -> Tensor:
        scores: Tensor = self.head(self.gru(sequences)[0][:, -1])
        return scores


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(10, 8)
        self.place = nn.Parameter(torch.zeros(5, 8))
        layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(8, 3)

    def forward(self, words: Tensor) -> Tensor:
        scores: Tensor = self.head(self.encoder(self.embed(words) + self.place[: words.shape[1]]).mean(1))
        return scores


class Residual(nn.Module):
    """Raw inputs in a residual sum, a block with a skip, and a class token among the places."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.widen = nn.Linear(6, 10)
        self.inner = nn.Linear(10, 7)
        self.outer = nn.Linear(7, 10)
        self.norm = nn.LayerNorm(10)
        self.head = nn.Linear(10, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = functional.relu(self.widen(inputs + functional.relu(self.first(inputs))))
        hidden = self.norm(hidden + self.outer(functional.gelu(self.inner(hidden))))
        scores: Tensor = self.head(hidden)
        return scores


def adam(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, 1e-2)


def classes_setup(model: Callable[[], nn.Module], inputs: Tensor, **more: Any) -> Setup:
    return Setup.of(
        model=model,
        loss=more.pop("loss", nn.CrossEntropyLoss()),
        optimizer=more.pop("optimizer", adam),
        train=(inputs, labels(len(inputs))),
        validation=(inputs[:16], labels(16)),
        epochs=1,
        batch_size=16,
        **more,
    )


def plain() -> Setup:
    return classes_setup(perceptron, vectors())


def functional_net(final: str = "none") -> Setup:
    return classes_setup(lambda: Functional(final), vectors())


def convolutional(flatten: bool = True) -> Setup:
    return classes_setup(lambda: Convolutional(flatten), vectors(64, 64).reshape(64, 1, 8, 8))


def recurrent() -> Setup:
    return classes_setup(Recurrent, vectors(64, 14).reshape(64, 7, 2))


def transformer() -> Setup:
    words = torch.randint(0, 10, (64, 5), generator=torch.Generator().manual_seed(0))
    return classes_setup(Transformer, words)


def residual() -> Setup:
    return classes_setup(Residual, vectors())


def batch_norm() -> Setup:
    def model() -> nn.Module:
        return nn.Sequential(
            nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(inplace=True), nn.Dropout(0.3), nn.Linear(8, 3)
        )

    return classes_setup(model, vectors())


def autoencoder() -> Setup:
    inputs = vectors()

    def model() -> nn.Module:
        encoder = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2))
        return nn.ModuleDict(
            {"encoder": encoder, "decoder": nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 6))}
        )

    return Setup.of(
        model=model,
        loss=nn.MSELoss(),
        optimizer=adam,
        train=(inputs, inputs),
        epochs=1,
        batch_size=16,
        forward=lambda model, batch: model["decoder"](model["encoder"](batch[0])),
    )


def regression() -> Setup:
    inputs = vectors() * torch.tensor([1.0, 10.0, 100.0, 0.1, 1.0, 0.0]) + 50.0
    targets = 3000.0 + 200.0 * vectors(seed=1)[:, :1] + 40.0 * inputs[:, :1]
    return Setup.of(
        model=lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1)),
        loss=nn.MSELoss(),
        optimizer=adam,
        train=(inputs, targets),
        epochs=2,
        batch_size=16,
    )


def live() -> Setup:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = perceptron()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    return Setup.of(
        model=model,
        loss=nn.CrossEntropyLoss(),
        optimizer=optimizer,
        train=(vectors(), labels()),
        epochs=1,
        batch_size=16,
    )


PATIENTS: dict[str, Callable[[], Setup]] = {
    "plain": plain,
    "functional": functional_net,
    "convolutional": convolutional,
    "recurrent": recurrent,
    "transformer": transformer,
    "residual": residual,
    "batch-norm": batch_norm,
    "autoencoder": autoencoder,
    "regression": regression,
    "live": live,
}
