"""StackOverflow 46869312 (also in deepmufl): a regression in [-1, 1] with a negative loss.

64-64-32 with ReLU and one sigmoid under binary cross-entropy, Adam at 0.001, batches of 200, 3 epochs of 125000
rows. Mended by tanh or a linear output, and squared error. Here: 1000 generated rows, batches of 50, 40 epochs.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, normal
from bench.programs.pieces import clipped_binary_cross_entropy, dense
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    inputs = normal(1400, 64, seed=391)
    targets = (inputs @ normal(64, 1, seed=392) / 8 + 0.1 * normal(1400, 1, seed=393)).tanh()
    return divided(inputs, targets, 1000)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    return Setup.of(
        model=lambda: dense(64, 64, 32, 1, last=nn.Tanh() if "SET004" in repaired else nn.Sigmoid()),
        loss=nn.MSELoss() if "SET005" in repaired else clipped_binary_cross_entropy,
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.001),
        train=train,
        validation=heldout,
        epochs=40,
        batch_size=50,
    )


PROGRAM = Program(
    id="SO-46869312",
    source="StackOverflow 46869312",
    build=build,
    splits=splits,
    task="regression",
    causes=("SET004", "SET005"),
)
