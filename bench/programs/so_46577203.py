"""StackOverflow 46577203: fitting a parabola, the loss explodes.

a·x² + b·x + c with the squares summed, SGD at 0.01 on all four rows x = 0, 1, 2, 3 of y = x², 100 epochs. The
asker's own answer: 0.001. The mean of the squares does it as well (and then 0.004 is the same as 0.001
before). Here: the points in between are scored on too, and 300 epochs.
"""

import torch
from torch import Tensor, nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits
from unstuck import Setup


class Parabola(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(1))
        self.b = nn.Parameter(torch.randn(1))
        self.c = nn.Parameter(torch.randn(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.a * x**2 + self.b * x + self.c


def splits(repaired: Repaired) -> Splits:
    x = torch.arange(0, 3.5, 0.5).unsqueeze(1)
    return Splits((x[::2], x[::2] ** 2), (x, x**2))


def build(repaired: Repaired) -> Setup:
    lower = 0.004 if "SET016" in repaired else 0.001
    rate = lower if "OPT001" in repaired else 0.01
    return Setup.of(
        model=Parabola,
        loss=nn.MSELoss(reduction="mean" if "SET016" in repaired else "sum"),
        optimizer=lambda parameters: optim.SGD(parameters, lr=rate),
        train=splits(repaired).train,
        epochs=300,
        batch_size=4,
    )


PROGRAM = Program(
    id="SO-46577203",
    source="StackOverflow 46577203",
    build=build,
    splits=splits,
    task="regression",
    causes=("SET016", "OPT001"),
)
