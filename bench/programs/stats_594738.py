"""stats.stackexchange 594738: forecasting a cubic, the loss grows 140-fold each step.

One linear layer from 80 values to the next 20, weights from N(0, 3), the squares summed, SGD at 1e-6, batches of 1,
10 epochs; y = x³ + x² + x on -10 to 10, with values up to 1100 as they are. Answers: scale, the mean, a smaller
rate. Here: the cubic in 500 steps with some noise. The repaired rate is what the values bear: 2e-8 as they are,
0.002 when scaled, ten times that for the mean; 5 epochs.
"""

import torch
from torch import Tensor, nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, normal
from unstuck import Setup


def summed(outputs: Tensor, targets: Tensor) -> Tensor:
    return ((outputs - targets) ** 2).sum()


def splits(repaired: Repaired) -> Splits:
    x = torch.linspace(-10, 10, 500)
    series = x**3 + x**2 + x + 20 * normal(500, seed=581)
    series = (series - series.mean()) / series.std() if "DAT001" in repaired else series
    cut = series.unfold(0, 100, 1)
    return divided(cut[:, :80], cut[:, 80:], 200)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    bearable = (0.02 if "SET016" in repaired else 0.002) if "DAT001" in repaired else 2e-8
    rate = bearable if "OPT001" in repaired else 1e-6

    def network() -> nn.Module:
        net = nn.Linear(80, 20)
        if "OPT010" not in repaired:
            nn.init.normal_(net.weight, 0.0, 3.0)
        return net

    return Setup.of(
        model=network,
        loss=nn.MSELoss() if "SET016" in repaired else summed,
        optimizer=lambda parameters: optim.SGD(parameters, lr=rate),
        train=train,
        validation=heldout,
        epochs=5,
        batch_size=1,
    )


PROGRAM = Program(
    id="STATS-594738",
    source="stats.stackexchange 594738",
    build=build,
    splits=splits,
    task="regression",
    causes=("SET016", "DAT001", "OPT001", "OPT010"),
)
