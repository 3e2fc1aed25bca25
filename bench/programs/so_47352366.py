"""StackOverflow 47352366 (also in DeepLocalize and DeepFD): MNIST, the loss is NaN and the accuracy 0.06.

Convolutions of 32 and 64 channels with pooling, 1024 ReLU units, dropout 0.5 and ten outputs with ReLU under a
cross-entropy of probabilities, Adam at 0.001, batches of 50, 600 steps. A softmax at the end reaches 0.98. Here:
digits, a quarter of the channels, 64 units.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, digits
from bench.programs.pieces import normalised_cross_entropy
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return digits(images=True)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)

    def network() -> nn.Module:
        layers: list[nn.Module] = []
        for before, channels in ((1, 8), (8, 16)):
            layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        layers += [nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 10)]
        layers += [] if "SET004" in repaired else [nn.ReLU()]
        return nn.Sequential(*layers, *([nn.Softmax(dim=1)] if "SET003" in repaired else []))

    return Setup.of(
        model=network,
        loss=normalised_cross_entropy,
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.001),
        train=train,
        validation=heldout,
        epochs=20,
        batch_size=50,
    )


PROGRAM = Program(
    id="SO-47352366",
    source="StackOverflow 47352366",
    build=build,
    splits=splits,
    task="classes",
    causes=("SET003", "SET004"),
)
