"""StackOverflow 54738769 (also in deepmufl): a regression that always predicts 1.

18-18 tanh-36-72-72-32-16 ReLU-1 softmax, squared error, Adam at 0.001, batches of 35, 100 epochs, scikit-learn's
regression problem with 100 rows. Mended by a linear output. Here: 300 rows, 60 epochs.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, made_regression, standardised_targets
from bench.programs.pieces import dense
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    rows = made_regression(300, 300, 18, seed=431)
    return standardised_targets(rows) if "DAT002" in repaired else rows


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    last = None if "SET004" in repaired else nn.Softmax(dim=1)
    return Setup.of(
        model=lambda: nn.Sequential(nn.Linear(18, 18), nn.Tanh(), *dense(18, 36, 72, 72, 32, 16, 1, last=last)),
        loss=nn.MSELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.001),
        train=train,
        validation=heldout,
        epochs=60,
        batch_size=35,
    )


PROGRAM = Program(
    id="SO-54738769",
    source="StackOverflow 54738769",
    build=build,
    splits=splits,
    task="regression",
    causes=("SET004", "DAT002"),
)
