"""StackOverflow 59758722 (also in deepmufl): a regression that predicts 0 for every negative target.

4-30-30-1, all ReLU, squared error, RMSprop at 0.001, batches of 128, 13 epochs, scikit-learn's regression problem.
Mended by a linear output. Here: 1000 rows, batches of 32; 40 epochs once repaired.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, made_regression, standardised_targets
from bench.programs.pieces import dense
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    rows = made_regression(1000, 400, 4, seed=501)
    return standardised_targets(rows) if "DAT002" in repaired else rows


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    return Setup.of(
        model=lambda: dense(4, 30, 30, 1, last=None if "SET004" in repaired else nn.ReLU()),
        loss=nn.MSELoss(),
        optimizer=lambda parameters: optim.RMSprop(parameters, lr=0.001),
        train=train,
        validation=heldout,
        epochs=40 if "OPT017" in repaired else 13,
        batch_size=32,
    )


PROGRAM = Program(
    id="SO-59758722",
    source="StackOverflow 59758722",
    build=build,
    splits=splits,
    task="regression",
    causes=("SET004", "DAT002", "OPT017"),
)
