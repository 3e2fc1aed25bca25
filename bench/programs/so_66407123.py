"""StackOverflow 66407123 (also in deepmufl): yes or no, and the accuracy is constant.

5-32-32 with ReLU and a softmax over the single output, binary cross-entropy, SGD at 0.01, batches of 64, 100
epochs, 1000 rows. Mended by a sigmoid. Here: generated classes, batches of 16, 20 epochs at 0.1.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, as_column, clusters
from bench.programs.pieces import dense
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return as_column(clusters(1000, 400, 5, 2, 0.25, seed=551))


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    last = nn.Sigmoid if "SET004" in repaired else lambda: nn.Softmax(dim=1)
    return Setup.of(
        model=lambda: dense(5, 32, 32, 1, last=last()),
        loss=nn.BCELoss(),
        optimizer=lambda parameters: optim.SGD(parameters, lr=0.1),
        train=train,
        validation=heldout,
        epochs=20,
        batch_size=16,
    )


PROGRAM = Program(
    id="SO-66407123",
    source="StackOverflow 66407123",
    build=build,
    splits=splits,
    task="binary",
    causes=("SET004",),
)
