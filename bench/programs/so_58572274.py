"""StackOverflow 58572274 (also in deepmufl): XNOR, and the output is constant.

2-2-2-1, all ReLU, binary cross-entropy, Adam at 0.001, all four rows a batch, 10 epochs. Answers: a sigmoid, more
units, more epochs: here 16 units, and 600 epochs at 0.01.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, on_targets, xor
from bench.programs.pieces import clipped_binary_cross_entropy, dense
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return on_targets(xor(), lambda y: 1 - y)


def build(repaired: Repaired) -> Setup:
    hidden = 16 if "CAP001" in repaired else 2

    def network() -> nn.Module:
        ends: list[nn.Module] = [] if "SET004" in repaired else [nn.ReLU()]
        ends += [nn.Sigmoid()] if "SET003" in repaired else []
        return nn.Sequential(*dense(2, hidden, hidden, 1), *ends)

    return Setup.of(
        model=network,
        loss=clipped_binary_cross_entropy,
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.01 if "OPT002" in repaired else 0.001),
        train=splits(repaired).train,
        epochs=600 if "OPT017" in repaired else 10,
        batch_size=4,
    )


PROGRAM = Program(
    id="SO-58572274",
    source="StackOverflow 58572274",
    build=build,
    splits=splits,
    task="binary",
    causes=("SET003", "SET004", "OPT002", "OPT017", "CAP001"),
)
