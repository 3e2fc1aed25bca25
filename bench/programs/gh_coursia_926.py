"""GitHub jsboige/CoursIA pull request 926 (merged): none of 96 forecasting runs beats the baseline.

Predictions of shape (64, 1) against targets of shape (64,) in the squared error. Mended by `view_as`. Here: a
small LSTM that forecasts a noisy series of two periods from windows of 12, one output in a column.
"""

from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

from bench.programs import Program, Repaired
from bench.programs.data import Splits, flat_targets, wandering, windows
from bench.programs.pieces import LastStep
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    series = wandering(900, seed=151)
    rows = Splits(windows(series[:600], 12), windows(series[600:], 12))
    return rows if "SET001" in repaired else flat_targets(rows)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    return Setup.of(
        model=lambda: nn.Sequential(LastStep(nn.LSTM(1, 16, batch_first=True)), nn.Linear(16, 1)),
        loss=nn.MSELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.01),
        train=DataLoader(TensorDataset(*train), batch_size=64, shuffle=True),
        validation=DataLoader(TensorDataset(*heldout), batch_size=64),
        epochs=20,
    )


PROGRAM = Program(
    id="GH-CoursIA-926",
    source="GitHub jsboige/CoursIA #926",
    build=build,
    splits=splits,
    task="regression",
    causes=("SET001",),
    full_facts=False,
)
