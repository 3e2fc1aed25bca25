"""StackOverflow 64522751 (also in DEFault): ten classes of images, nothing is learned.

A convolutional net with one output under binary cross-entropy, Adam at 0.1, batches of 10, early stopping that
waits for no second epoch. Answers: ten outputs and cross-entropy, a rate of 0.001, more patience. Here: digits,
two epochs, which is where such stopping ends; ten once repaired.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, as_column, digits
from bench.programs.pieces import clipped_binary_cross_entropy
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    rows = digits(images=True)
    return rows if "SET005" in repaired else as_column(rows)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)

    def network() -> nn.Module:
        layers: list[nn.Module] = []
        for before, channels in ((1, 8), (8, 16)):
            layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        layers += [nn.Flatten(), nn.Linear(64, 32), nn.ReLU()]
        last = [nn.Linear(32, 10)] if "SET005" in repaired else [nn.Linear(32, 1), nn.Sigmoid()]
        return nn.Sequential(*layers, *last)

    return Setup.of(
        model=network,
        loss=nn.CrossEntropyLoss() if "SET005" in repaired else clipped_binary_cross_entropy,
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.001 if "OPT001" in repaired else 0.1),
        train=train,
        validation=heldout,
        epochs=10 if "OPT017" in repaired else 2,
        batch_size=10,
    )


PROGRAM = Program(
    id="SO-64522751",
    source="StackOverflow 64522751",
    build=build,
    splits=splits,
    task="classes",
    causes=("SET005", "OPT001", "OPT017"),
)
