"""StackOverflow 60766775 (also in deepmufl): four values at once, a constant answer.

8-32-20-15 with sigmoids and dropout 0.1, a softmax over four outputs, squared error, SGD at 0.01 with momentum
0.87, batches of 1, 100 epochs, scikit-learn's regression problem. Mended by linear outputs. Here: 200 rows, batches
of 4, 20 epochs.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, made_regression, standardised_targets
from bench.programs.pieces import dense
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    rows = made_regression(200, 300, 8, 4, seed=521)
    return standardised_targets(rows) if "DAT002" in repaired else rows


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    between = nn.Tanh if "OPT006" in repaired else nn.Sigmoid
    last = nn.Identity if "SET004" in repaired else lambda: nn.Softmax(dim=1)
    return Setup.of(
        model=lambda: dense(8, 32, 20, 15, 4, between=between, dropout=0.1, last=last()),
        loss=nn.MSELoss(),
        optimizer=lambda parameters: optim.SGD(parameters, lr=0.01, momentum=0.87),
        train=train,
        validation=heldout,
        epochs=20,
        batch_size=4,
    )


PROGRAM = Program(
    id="SO-60766775",
    source="StackOverflow 60766775",
    build=build,
    splits=splits,
    task="regression",
    causes=("SET004", "DAT002", "OPT006"),
)
