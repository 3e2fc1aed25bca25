"""StackOverflow 31556268 (also in DeepLocalize and DeepFD): XOR, every output is near a half.

2-4-1 with sigmoids, mean absolute error, SGD at 0.05 with Nesterov momentum 0.11, all four rows a batch, 1000
epochs. Answers: squared error or cross-entropy, Adam or twice the rate, 10000 epochs. Here: five times the rate
for a fifth of the epochs. So few units may end in a local minimum of XOR: 8 once repaired. The repaired rate is
Adam's 0.05.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, xor
from bench.programs.pieces import dense
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return xor()


def build(repaired: Repaired) -> Setup:
    return Setup.of(
        model=lambda: dense(2, 8 if "CAP001" in repaired else 4, 1, between=nn.Sigmoid, last=nn.Sigmoid()),
        loss=nn.BCELoss() if "SET005" in repaired else nn.L1Loss(),
        optimizer=lambda parameters: (
            optim.Adam(parameters, lr=0.05)
            if "OPT002" in repaired
            else optim.SGD(parameters, lr=0.25, momentum=0.11, nesterov=True)
        ),
        train=splits(repaired).train,
        epochs=1000 if "OPT017" in repaired else 200,
        batch_size=4,
    )


PROGRAM = Program(
    id="SO-31556268",
    source="StackOverflow 31556268",
    build=build,
    splits=splits,
    task="binary",
    causes=("SET005", "OPT002", "OPT017", "CAP001"),
)
