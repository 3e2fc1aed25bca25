"""StackOverflow 44758894 (also in deepmufl): yes or no, and often 0 for every row.

7-16-16-1, all ReLU, squared error, SGD at 0.01, batches of 32, 5 epochs, 1000 rows. Answer: a sigmoid and binary
cross-entropy; it also takes longer. Here: 500 rows of generated classes of several blobs each, batches of 4, one epoch;
30 epochs once repaired.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, as_column, clusters
from bench.programs.pieces import clipped_binary_cross_entropy, dense
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return as_column(clusters(500, 400, 7, 2, 0.5, seed=371))


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    return Setup.of(
        model=lambda: dense(7, 16, 16, 1, last=nn.Sigmoid() if "SET004" in repaired else nn.ReLU()),
        loss=clipped_binary_cross_entropy if "SET005" in repaired else nn.MSELoss(),
        optimizer=lambda parameters: optim.SGD(parameters, lr=0.01),
        train=train,
        validation=heldout,
        epochs=30 if "OPT017" in repaired else 1,
        batch_size=4,
    )


PROGRAM = Program(
    id="SO-44758894",
    source="StackOverflow 44758894",
    build=build,
    splits=splits,
    task="binary",
    causes=("SET004", "SET005", "OPT017"),
)
