"""StackOverflow 60801900: an autoencoder never reconstructs the negative half.

3-128-64-32-64-128-3 on each row, ReLU everywhere and at the end, mean squared error, Adam at 0.001, batches
of 2 tables of 430 rows, 15 epochs, values in [-1.92, 1.92]. Answer: a linear output. Here: single rows, 16 a
batch.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, uniform
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    rows = uniform(-1.92, 1.92, 700, 3, seed=121)
    return divided(rows, rows, 400)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    widths = (3, 128, 64, 32, 64, 128)

    def network() -> nn.Module:
        layers: list[nn.Module] = []
        for i in range(5):
            layers += [nn.Linear(widths[i], widths[i + 1]), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(128, 3), nn.Identity() if "SET004" in repaired else nn.ReLU())

    return Setup.of(
        model=network,
        loss=nn.MSELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.001),
        train=train,
        validation=heldout,
        epochs=15,
        batch_size=16,
    )


PROGRAM = Program(
    id="SO-60801900",
    source="StackOverflow 60801900",
    build=build,
    splits=splits,
    task="regression",
    causes=("SET004",),
)
