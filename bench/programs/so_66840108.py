"""StackOverflow 66840108 (also in deepmufl and DEFault): a regression with a huge negative loss.

2-196-128 with ReLU and one sigmoid under binary cross-entropy, Adam at 0.001, batches of 10, 600 epochs, 44 rows
with targets from 400 to 1800. Answers: a linear output, squared error. Here: a generated smooth target of two
inputs, 60 epochs.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, standardised_targets, uniform
from bench.programs.pieces import clipped_binary_cross_entropy, dense
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    inputs = uniform(-2, 2, 144, 2, seed=331)
    rows = divided(inputs, 1100 + 700 * (inputs[:, :1] + 0.5 * inputs[:, 1:]).tanh(), 44)
    return standardised_targets(rows) if "DAT002" in repaired else rows


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    return Setup.of(
        model=lambda: dense(2, 196, 128, 1, last=None if "SET004" in repaired else nn.Sigmoid()),
        loss=nn.MSELoss() if "SET005" in repaired else clipped_binary_cross_entropy,
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.001),
        train=train,
        validation=heldout,
        epochs=60,
        batch_size=10,
    )


PROGRAM = Program(
    id="SO-66840108",
    source="StackOverflow 66840108",
    build=build,
    splits=splits,
    task="regression",
    causes=("SET004", "SET005", "DAT002"),
)
