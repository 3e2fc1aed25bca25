"""StackOverflow 51971180 (also in DEFault): standardised prices, and no prediction is negative.

A GRU of 50 units, dropout 0.2 and one output with ReLU. Mended by a linear output. Here: windows of 8 out of a
generated series of two periods, 16 units, squared error, Adam at 0.01, batches of 32, 15 epochs.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, wandering, windows
from bench.programs.pieces import LastStep
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    series = wandering(900, seed=641)
    return Splits(windows(series[:500], 8), windows(series[500:], 8))


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)

    def network() -> nn.Module:
        layers = [LastStep(nn.GRU(1, 16, batch_first=True)), nn.Dropout(0.2), nn.Linear(16, 1)]
        return nn.Sequential(*layers, *([] if "SET004" in repaired else [nn.ReLU()]))

    return Setup.of(
        model=network,
        loss=nn.MSELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.01),
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
    full_facts=False,
)
