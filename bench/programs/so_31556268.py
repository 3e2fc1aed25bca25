"""StackOverflow 31556268 (also in DeepLocalize and DeepFD): XOR, every output stays near 0.5.

2-4-1 with sigmoids, mean absolute error, SGD at 0.05 with Nesterov momentum 0.11, all four rows a batch, 1000
epochs. Answers: squared error or cross-entropy, Adam or a higher rate, ten times the epochs. The four rows
are all the data there is; they are trained and scored on. Repaired, the rate is Adam's 0.1.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, xor
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return xor()


def build(repaired: Repaired) -> Setup:
    faster = "OPT002" in repaired
    return Setup.of(
        model=lambda: nn.Sequential(nn.Linear(2, 4), nn.Sigmoid(), nn.Linear(4, 1), nn.Sigmoid()),
        loss=nn.BCELoss() if "SET005" in repaired else nn.L1Loss(),
        optimizer=lambda parameters: (
            optim.Adam(parameters, lr=0.1) if faster else optim.SGD(parameters, lr=0.05, momentum=0.11, nesterov=True)
        ),
        train=splits(repaired).train,
        epochs=4000 if "OPT017" in repaired else 1000,
        batch_size=4,
    )


PROGRAM = Program(
    id="SO-31556268",
    source="StackOverflow 31556268",
    build=build,
    splits=splits,
    task="binary",
    causes=("SET005", "OPT002", "OPT017"),
)
