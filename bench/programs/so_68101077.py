"""StackOverflow 68101077 (also in deepmufl): Fashion-MNIST, and the accuracy is near chance.

784-128 ReLU-10 without a softmax under a cross-entropy that expects probabilities, Adam at 0.001, batches of 32,
10 epochs. Mended by `from_logits`. Here: digits, ten times the rate for a sixtieth of the rows.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, digits
from bench.programs.pieces import dense, normalised_cross_entropy
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return digits()


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    return Setup.of(
        model=lambda: dense(64, 128, 10),
        loss=nn.CrossEntropyLoss() if "SET003" in repaired else normalised_cross_entropy,
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.01),
        train=train,
        validation=heldout,
        epochs=10,
        batch_size=32,
    )


PROGRAM = Program(
    id="SO-68101077",
    source="StackOverflow 68101077",
    build=build,
    splits=splits,
    task="classes",
    causes=("SET003",),
)
