"""StackOverflow 45378493 (also in defect4ML, NeuraLint and deepmufl): accuracy is the share of a class.

Two convolutions (16 and 8) with batch-norm, leaky ReLU and dropout, a dense layer of 64 with batch-norm, and
a softmax over the single output under binary cross-entropy, Adam at 0.001, batches of 128, 100 epochs,
sequences of 10 × 4. Accepted: a sigmoid. Here: generated sequences whose class is whether the first channel
rises.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, normal
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    inputs = normal(900, 4, 10, seed=41)
    rises = inputs[:, 0, 5:].mean(1) > inputs[:, 0, :5].mean(1)
    return divided(inputs, rises.float().unsqueeze(1), 512)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    return Setup.of(
        model=lambda: nn.Sequential(
            nn.Conv1d(4, 16, 3, padding=1),
            nn.BatchNorm1d(16),
            nn.LeakyReLU(),
            nn.Dropout(0.2),
            nn.Conv1d(16, 8, 3, padding=1),
            nn.BatchNorm1d(8),
            nn.LeakyReLU(),
            nn.Dropout(0.2),
            nn.Flatten(),
            nn.Linear(80, 64),
            nn.BatchNorm1d(64),
            nn.Linear(64, 1),
            nn.Sigmoid() if "SET004" in repaired else nn.Softmax(dim=1),
        ),
        loss=nn.BCELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.001),
        train=train,
        validation=heldout,
        epochs=30,
        batch_size=128,
    )


PROGRAM = Program(
    id="SO-45378493",
    source="StackOverflow 45378493",
    build=build,
    splits=splits,
    task="binary",
    causes=("SET004",),
)
