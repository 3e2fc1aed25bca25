"""StackOverflow 69787272 (also in deepmufl): yes or no, and the output is constant.

31-31-1-1, all ReLU, binary cross-entropy, SGD at 0.01, batches of 2000, 10 epochs, 1000 rows. Mended by a sigmoid
and no layer of one unit; it also takes a larger rate. Here: generated classes, batches of 200; 0.5 once
repaired.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, as_column, clusters
from bench.programs.pieces import clipped_binary_cross_entropy, dense
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return as_column(clusters(1000, 400, 31, 2, 0.5, seed=571))


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    narrow = 16 if "CAP002" in repaired else 1

    def network() -> nn.Module:
        ends: list[nn.Module] = [] if "SET004" in repaired else [nn.ReLU()]
        ends += [nn.Sigmoid()] if "SET003" in repaired else []
        return nn.Sequential(*dense(31, 31, narrow, 1), *ends)

    return Setup.of(
        model=network,
        loss=clipped_binary_cross_entropy,
        optimizer=lambda parameters: optim.SGD(parameters, lr=0.5 if "OPT002" in repaired else 0.01),
        train=train,
        validation=heldout,
        epochs=10,
        batch_size=200,
    )


PROGRAM = Program(
    id="SO-69787272",
    source="StackOverflow 69787272",
    build=build,
    splits=splits,
    task="binary",
    causes=("SET003", "SET004", "OPT002", "CAP002"),
)
