"""StackOverflow 73457069 (also in DEFault): an LSTM forecasts a flat line, though its loss falls.

One LSTM, Adam at its default rate, batches of 32, 40 epochs. Answers: 2000 epochs, a rate of 0.005. Here: 64
windows of a generated series of two periods; 400 epochs once repaired.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, wandering, windows
from bench.programs.pieces import LastStep
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    series = wandering(400, seed=341)
    return Splits(windows(series[:74], 10), windows(series[74:], 10))


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    return Setup.of(
        model=lambda: nn.Sequential(LastStep(nn.LSTM(1, 16, batch_first=True)), nn.Linear(16, 1)),
        loss=nn.MSELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.005 if "OPT002" in repaired else 0.001),
        train=train,
        validation=heldout,
        epochs=400 if "OPT017" in repaired else 40,
        batch_size=32,
    )


PROGRAM = Program(
    id="SO-73457069",
    source="StackOverflow 73457069",
    build=build,
    splits=splits,
    task="regression",
    causes=("OPT002", "OPT017"),
)
