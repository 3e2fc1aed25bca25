"""StackOverflow 58844149 (also in defect4ML and NeuraLint): two classes of images, the accuracy never moves.

Three convolutions with pooling, 300 ReLU units, dropout 0.2 and a softmax over the single output, binary
cross-entropy, Adam at 0.001, batches of 32, 20 epochs, grey images. Accepted: a sigmoid. Here: odd and even
digits, 16 channels and 64 units, 10 epochs.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, as_column, digits, on_targets
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return as_column(on_targets(digits(800, images=True), lambda y: y % 2))


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)

    def network() -> nn.Module:
        layers: list[nn.Module] = []
        for before in (1, 16, 16):
            layers += [nn.Conv2d(before, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        layers += [nn.Flatten(), nn.Linear(16, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 1)]
        return nn.Sequential(*layers, nn.Sigmoid() if "SET004" in repaired else nn.Softmax(dim=1))

    return Setup.of(
        model=network,
        loss=nn.BCELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.001),
        train=train,
        validation=heldout,
        epochs=10,
        batch_size=32,
    )


PROGRAM = Program(
    id="SO-58844149",
    source="StackOverflow 58844149",
    build=build,
    splits=splits,
    task="binary",
    causes=("SET004",),
)
