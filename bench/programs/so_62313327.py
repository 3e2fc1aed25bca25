"""StackOverflow 62313327 (also in deepmufl): the target is one of the inputs, and half of it is never fitted.

30-1 ReLU-1 sigmoid, squared error, Adam at 0.01, batches of 32, 200 epochs, 100000 rows in [-1, 1] whose target is
the first feature. Mended by a linear output and more units than one. Here: 1000 rows, 25 epochs.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, uniform
from bench.programs.pieces import dense
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    inputs = uniform(-1, 1, 1400, 30, seed=541)
    return divided(inputs, inputs[:, :1], 1000)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    hidden = 16 if "CAP002" in repaired else 1
    return Setup.of(
        model=lambda: dense(30, hidden, 1, last=None if "SET004" in repaired else nn.Sigmoid()),
        loss=nn.MSELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.01),
        train=train,
        validation=heldout,
        epochs=25,
        batch_size=32,
    )


PROGRAM = Program(
    id="SO-62313327",
    source="StackOverflow 62313327",
    build=build,
    splits=splits,
    task="regression",
    causes=("SET004", "CAP002"),
)
