"""StackOverflow 46359741 (also in deepmufl): two points, 1 is yes and 2 is no, and the accuracy is a half.

1-1-1 with sigmoids, binary cross-entropy, SGD at 0.009 with momentum 0.9, both points a batch, 20 epochs. Answers:
more epochs, a larger rate. The repaired rate is 1, with 400 epochs and 8 units.
"""

import torch
from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits
from bench.programs.pieces import dense
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    rows = torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [0.0]])
    return Splits(rows, rows)


def build(repaired: Repaired) -> Setup:
    rate = 1.0 if "OPT002" in repaired else 0.009
    hidden = 8 if "CAP001" in repaired else 1
    return Setup.of(
        model=lambda: dense(1, hidden, 1, between=nn.Sigmoid, last=nn.Sigmoid()),
        loss=nn.BCELoss(),
        optimizer=lambda parameters: optim.SGD(parameters, lr=rate, momentum=0.9),
        train=splits(repaired).train,
        epochs=400 if "OPT017" in repaired else 20,
        batch_size=2,
    )


PROGRAM = Program(
    id="SO-46359741",
    source="StackOverflow 46359741",
    build=build,
    splits=splits,
    task="binary",
    causes=("OPT002", "OPT017", "CAP001"),
)
