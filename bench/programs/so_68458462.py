"""StackOverflow 68458462 (also in deepmufl): four values from 0 to 4, and no prediction above 1.

5-2-2 with ReLU and four sigmoids, squared error, Adam at 0.001, batches of 16, 100 epochs, 5 rows. Mended by linear
outputs; it takes more units, too, and a larger rate than for so few steps: here 16 units and 0.02. There is
nothing to hold out.
"""

import torch
from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits
from bench.programs.pieces import dense
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    inputs = torch.eye(5)
    targets = torch.tensor(
        [[0.0, 1.0, 2.0, 4.0], [3.0, 0.0, 1.0, 2.0], [4.0, 3.0, 0.0, 1.0], [1.0, 4.0, 3.0, 0.0], [2.0, 2.0, 4.0, 3.0]]
    )
    return Splits((inputs, targets), (inputs, targets))


def build(repaired: Repaired) -> Setup:
    hidden = 16 if "CAP001" in repaired else 2
    return Setup.of(
        model=lambda: dense(5, hidden, hidden, 4, last=None if "SET004" in repaired else nn.Sigmoid()),
        loss=nn.MSELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.02 if "OPT002" in repaired else 0.001),
        train=splits(repaired).train,
        epochs=100,
        batch_size=16,
    )


PROGRAM = Program(
    id="SO-68458462",
    source="StackOverflow 68458462",
    build=build,
    splits=splits,
    task="regression",
    causes=("SET004", "OPT002", "CAP001"),
)
