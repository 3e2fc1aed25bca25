"""StackOverflow 50079585 (also in DeepLocalize and DeepFD): three kinds of cars, the accuracy stays at a third.

Three convolutions (32, 32, 64) with ReLU and pooling, 64 units, dropout 0.5 and one sigmoid under binary
cross-entropy, the labels 0, 1 and 2 as they are; RMSprop at 0.001, batches of 16, 10 epochs, 979 photos.
Accepted: three outputs with softmax and cross-entropy. Here: three classes of digits, a quarter of the channels.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, as_column, digits
from bench.programs.pieces import clipped_binary_cross_entropy
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    rows = digits(350, images=True, classes=3)
    return rows if "SET005" in repaired else as_column(rows)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)

    def network() -> nn.Module:
        layers: list[nn.Module] = []
        for before, channels in ((1, 8), (8, 8), (8, 16)):
            layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        layers += [nn.Flatten(), nn.Linear(16, 64), nn.ReLU(), nn.Dropout(0.5)]
        last = [nn.Linear(64, 3)] if "SET005" in repaired else [nn.Linear(64, 1), nn.Sigmoid()]
        return nn.Sequential(*layers, *last)

    return Setup.of(
        model=network,
        loss=nn.CrossEntropyLoss() if "SET005" in repaired else clipped_binary_cross_entropy,
        optimizer=lambda parameters: optim.RMSprop(parameters, lr=0.001),
        train=train,
        validation=heldout,
        epochs=10,
        batch_size=16,
    )


PROGRAM = Program(
    id="SO-50079585",
    source="StackOverflow 50079585",
    build=build,
    splits=splits,
    task="classes",
    causes=("SET005",),
)
