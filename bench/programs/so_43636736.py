"""StackOverflow 43636736: a straight line by gradient descent, the loss is inf and then NaN.

Two weights for x and a column of ones, no bias, half the mean squared error, SGD at 0.5 on all 100 rows at
once, 100 epochs, x from 0 to 99 as it is, y = 2x + 4 with noise. Answer: rate 0.0005. Scaled inputs bear the
old rate (and do best near 0.1). Here: the rows in between are held out.
"""

import torch
from torch import Tensor, nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, normal
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    x = torch.arange(0, 100, 0.5)
    targets = 2 * x + 4 + normal(200, seed=81)
    feature = (x - x.mean()) / x.std() if "DAT001" in repaired else x
    inputs = torch.stack([feature, torch.ones(200)], dim=1)
    rows = targets.unsqueeze(1)
    return Splits((inputs[::2], rows[::2]), (inputs[1::2], rows[1::2]))


def half_mean_square(outputs: Tensor, targets: Tensor) -> Tensor:
    return ((outputs - targets) ** 2).mean() / 2


def build(repaired: Repaired) -> Setup:
    lower = 0.1 if "DAT001" in repaired else 0.0005
    rate = lower if "OPT001" in repaired else 0.5
    return Setup.of(
        model=lambda: nn.Linear(2, 1, bias=False),
        loss=half_mean_square,
        optimizer=lambda parameters: optim.SGD(parameters, lr=rate),
        train=splits(repaired).train,
        epochs=100,
        batch_size=100,
    )


PROGRAM = Program(
    id="SO-43636736",
    source="StackOverflow 43636736",
    build=build,
    splits=splits,
    task="regression",
    causes=("DAT001", "OPT001"),
)
