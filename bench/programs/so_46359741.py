"""StackOverflow 46359741: two points, one feature, the accuracy stays at 0.5.

1-1-1 with sigmoids, binary cross-entropy, SGD at 0.009 with momentum 0.9, both points a batch, 20 epochs; 1
belongs to class 1 and 2 to class 0. Answers: more epochs, a larger rate. Here: 1000 epochs, or a rate of 0.5
for the same 20.
"""

import torch
from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    rows = torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [0.0]])
    return Splits(rows, rows)


def build(repaired: Repaired) -> Setup:
    rate = 0.5 if "OPT002" in repaired else 0.009
    hidden = 8 if "CAP001" in repaired else 1
    return Setup.of(
        model=lambda: nn.Sequential(nn.Linear(1, hidden), nn.Sigmoid(), nn.Linear(hidden, 1), nn.Sigmoid()),
        loss=nn.BCELoss(),
        optimizer=lambda parameters: optim.SGD(parameters, lr=rate, momentum=0.9),
        train=splits(repaired).train,
        epochs=1000 if "OPT017" in repaired else 20,
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
