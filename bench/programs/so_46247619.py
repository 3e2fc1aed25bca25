"""StackOverflow 46247619 (also in deepmufl): a regression on signals predicts 0.

Convolutions of 30, 40 and 120 channels over 50 steps, 1024-256-32 ReLU units and one more ReLU as output, squared
error, Adam at 0.001, targets of both signs, tried on the first rows only, for 10000 epochs. Mended by a linear
output. Here: 300 generated signals whose target is how their frequency changes, a quarter of the channels and a
sixteenth of the units, batches of 32, 20 epochs.
"""

import torch
from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, normal, uniform
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    time = torch.linspace(0, 1, 50)
    change = uniform(-1, 1, 600, 1, seed=381)
    signals = torch.sin(20 * time + 10 * change * time**2) + 0.05 * normal(600, 50, seed=382)
    return divided(signals.unsqueeze(1), change, 300)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)

    def network() -> nn.Module:
        layers: list[nn.Module] = []
        for before, channels in ((1, 8), (8, 10), (10, 30)):
            layers += [nn.Conv1d(before, channels, 3), nn.ReLU(), nn.MaxPool1d(2)]
        layers += [nn.Flatten(), nn.Linear(120, 64), nn.ReLU(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 1)]
        return nn.Sequential(*layers, *([] if "SET004" in repaired else [nn.ReLU()]))

    return Setup.of(
        model=network,
        loss=nn.MSELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.001),
        train=train,
        validation=heldout,
        epochs=20,
        batch_size=32,
    )


PROGRAM = Program(
    id="SO-46247619",
    source="StackOverflow 46247619",
    build=build,
    splits=splits,
    task="regression",
    causes=("SET004",),
)
