"""StackOverflow 48486598: a polynomial of degree five is fitted by a straight line.

1-1-5-1 without activations, mean absolute error, Adam at 0.001, batches of 10, 150 epochs, 200 points of a
quintic on 0 to 10. Answer: tanh or ReLU between, and more units. Here: the quintic has unit scale; five times
the rate for half the epochs.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, uniform
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    inputs = uniform(0, 10, 400, 1, seed=91)
    z = inputs / 5 - 1
    return divided(inputs, 8 * z**5 - 10 * z**3 + 2 * z, 200)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    between = nn.Tanh if "SET013" in repaired else nn.Identity
    first, second = (32, 32) if "CAP001" in repaired else (1, 5)
    return Setup.of(
        model=lambda: nn.Sequential(
            nn.Linear(1, first), between(), nn.Linear(first, second), between(), nn.Linear(second, 1)
        ),
        loss=nn.L1Loss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.005),
        train=train,
        validation=heldout,
        epochs=75,
        batch_size=10,
    )


PROGRAM = Program(
    id="SO-48486598",
    source="StackOverflow 48486598",
    build=build,
    splits=splits,
    task="regression",
    causes=("SET013", "CAP001"),
)
