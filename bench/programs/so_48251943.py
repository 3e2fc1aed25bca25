"""StackOverflow 48251943 (also in DeepLocalize and DeepFD): a small regression that never predicts below 0.

2-4-1 with ReLU behind both layers, mean squared error, SGD at 0.01, batches of 10, 500 epochs, 17 rows with
inputs in about [-0.4, 2.1] and targets in [-0.4, 2.5]. Accepted: another output activation. Here: a smooth
function of two such inputs, centred so that a good part of it is negative.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, normal, uniform
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    inputs = uniform(-0.4, 2.1, 117, 2, seed=7)
    targets = 0.9 * inputs[:, :1] - 0.8 * inputs[:, 1:] + 0.02 * normal(117, 1, seed=8)
    return divided(inputs, targets, 17)


def build(repaired: Repaired) -> Setup:
    return Setup.of(
        model=lambda: nn.Sequential(
            nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1), nn.Identity() if "SET004" in repaired else nn.ReLU()
        ),
        loss=nn.MSELoss(),
        optimizer=lambda parameters: optim.SGD(parameters, lr=0.01),
        train=splits(repaired).train,
        epochs=500,
        batch_size=10,
    )


PROGRAM = Program(
    id="SO-48251943",
    source="StackOverflow 48251943",
    build=build,
    splits=splits,
    task="regression",
    causes=("SET004",),
)
