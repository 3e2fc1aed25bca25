"""StackOverflow 62313327: one of thirty features is to be copied, and the negative half is never fitted.

30-1-1 with ReLU and a sigmoid at the end, mean squared error, Adam at 0.01, batches of 32, 200 epochs, 100000
rows in [-1, 1]; the target is one of the features. Answers: a linear output, and more than one hidden unit.
Here: 1000 rows, 30 epochs.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, uniform
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    inputs = uniform(-1, 1, 1400, 30, seed=201)
    return divided(inputs, inputs[:, :1], 1000)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    hidden = 16 if "CAP002" in repaired else 1
    last = nn.Identity if "SET004" in repaired else nn.Sigmoid
    return Setup.of(
        model=lambda: nn.Sequential(nn.Linear(30, hidden), nn.ReLU(), nn.Linear(hidden, 1), last()),
        loss=nn.MSELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.01),
        train=train,
        validation=heldout,
        epochs=30,
        batch_size=32,
    )


PROGRAM = Program(
    id="SO-62313327",
    source="StackOverflow 62313327",
    build=build,
    splits=splits,
    task="regression",
    causes=("SET004", "CAP002"),
)
