"""StackOverflow 51971180: a forecast of standardised prices that is never negative.

GRU of 50, tanh, dropout 0.2 and one output with a ReLU, on standardised prices. Mended by a linear output.
Here: a GRU of 24 on windows of 10 of a noisy series of two periods around 0, squared error, Adam at 0.005.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, wandering, windows
from bench.programs.pieces import LastStep
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    series = wandering(900, seed=191)
    return Splits(windows(series[:600], 10), windows(series[600:], 10))


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    return Setup.of(
        model=lambda: nn.Sequential(
            LastStep(nn.GRU(1, 24, batch_first=True)),
            nn.Tanh(),
            nn.Dropout(0.2),
            nn.Linear(24, 1),
            nn.Identity() if "SET004" in repaired else nn.ReLU(),
        ),
        loss=nn.MSELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.005),
        train=train,
        validation=heldout,
        epochs=15,
        batch_size=32,
    )


PROGRAM = Program(
    id="SO-51971180",
    source="StackOverflow 51971180",
    build=build,
    splits=splits,
    task="regression",
    causes=("SET004",),
)
