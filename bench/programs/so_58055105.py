"""StackOverflow 58055105 (also in deepmufl): yes or no, and the accuracy is constant.

22-48 ReLU, dropout 0.5 and a softmax over the single output, binary cross-entropy, Adam at 0.0001, batches of 5, 20
epochs, 1000 rows. Mended by a sigmoid. Here: 500 rows of generated classes, 10 epochs at ten times the rate.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, as_column, clusters
from bench.programs.pieces import dense
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return as_column(clusters(500, 400, 22, 2, 0.5, seed=481))


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    last = nn.Sigmoid if "SET004" in repaired else lambda: nn.Softmax(dim=1)
    return Setup.of(
        model=lambda: dense(22, 48, 1, dropout=0.5, last=last()),
        loss=nn.BCELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.001),
        train=train,
        validation=heldout,
        epochs=10,
        batch_size=5,
    )


PROGRAM = Program(
    id="SO-58055105",
    source="StackOverflow 58055105",
    build=build,
    splits=splits,
    task="binary",
    causes=("SET004",),
)
