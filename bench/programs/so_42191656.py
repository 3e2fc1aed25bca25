"""StackOverflow 42191656 (UT-13 of Zhang et al., ISSTA 2018): XOR, "100 %" while every output is a half.

2-2-1 without activations, squared error, Adam at 0.01, all four rows a batch, 100 epochs; the accuracy was an
argmax over one column. Answers: a threshold instead, and a nonlinearity. It also takes more epochs, and more
units to stay clear of XOR's local minima: here tanh, 1000 epochs and 8 units.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, xor
from bench.programs.pieces import dense
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return xor()


def build(repaired: Repaired) -> Setup:
    between = nn.Tanh if "SET013" in repaired else nn.Identity
    return Setup.of(
        model=lambda: dense(2, 8 if "CAP001" in repaired else 2, 1, between=between),
        loss=nn.MSELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.01),
        train=splits(repaired).train,
        epochs=1000 if "OPT017" in repaired else 100,
        batch_size=4,
    )


PROGRAM = Program(
    id="SO-42191656",
    source="StackOverflow 42191656",
    build=build,
    splits=splits,
    task="binary",
    causes=("SET013", "OPT017", "CAP001"),
)
