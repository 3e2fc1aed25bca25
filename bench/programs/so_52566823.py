"""StackOverflow 52566823 (also in deepmufl): a regression predicts the mean.

5-5-4-1, all sigmoids, squared error, SGD at 0.1, batches of 32 in order, 100 epochs, scikit-learn's regression problem
with 1000 rows. Answers: a linear output, scaled targets. Here: 40 epochs, and
shuffled: the rows are drawn at random anyway.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, made_regression, standardised_targets
from bench.programs.pieces import dense
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    rows = made_regression(1000, 400, 5, seed=421)
    return standardised_targets(rows) if "DAT002" in repaired else rows


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    last = None if "SET004" in repaired else nn.Sigmoid()
    return Setup.of(
        model=lambda: dense(5, 5, 4, 1, between=nn.Sigmoid, last=last),
        loss=nn.MSELoss(),
        optimizer=lambda parameters: optim.SGD(parameters, lr=0.1),
        train=train,
        validation=heldout,
        epochs=40,
        batch_size=32,
    )


PROGRAM = Program(
    id="SO-52566823",
    source="StackOverflow 52566823",
    build=build,
    splits=splits,
    task="regression",
    causes=("SET004", "DAT002"),
)
