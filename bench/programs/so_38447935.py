"""StackOverflow 38447935: a line through three points, and every prediction is the mean target.

Two weights, squared error between outputs of shape (3, 1) and targets of shape (3,), Adam at 0.0001, all
three rows a batch, 50000 epochs, three points on y = x. Mended by targets of shape (3, 1). Here: fifty times
the rate for a fiftieth of the epochs; points in between are held out.
"""

import torch
from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    x = torch.tensor([[1.0], [2.0], [3.0], [1.5], [2.5]])
    y = x if "SET001" in repaired else x.flatten()
    return Splits((x[:3], y[:3]), (x, y))


def build(repaired: Repaired) -> Setup:
    return Setup.of(
        model=lambda: nn.Linear(1, 1),
        loss=nn.MSELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.005),
        train=splits(repaired).train,
        epochs=1000,
        batch_size=3,
    )


PROGRAM = Program(
    id="SO-38447935",
    source="StackOverflow 38447935",
    build=build,
    splits=splits,
    task="regression",
    causes=("SET001",),
)
