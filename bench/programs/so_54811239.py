"""StackOverflow 54811239 (also in deepmufl): an LSTM whose predictions stop at 1.

One LSTM of 10 units, 50 tanh units and a tanh output, squared error, Adam at 0.001, batches of 2, 5 epochs, targets
from 7 to 12. Mended by a linear output. Here: windows of 5 out of a generated series, 120 of them, 10 epochs; 20
once repaired, at 0.003.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, on_targets, wandering, windows
from bench.programs.pieces import LastStep
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    series = wandering(450, seed=441)
    return on_targets(Splits(windows(series[:125], 5), windows(series[125:], 5)), lambda y: 9.5 + 1.5 * y)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    last = nn.Identity if "SET004" in repaired else nn.Tanh

    def network() -> nn.Module:
        read = LastStep(nn.LSTM(1, 10, batch_first=True))
        return nn.Sequential(read, nn.Linear(10, 50), nn.Tanh(), nn.Linear(50, 1), last())

    return Setup.of(
        model=network,
        loss=nn.MSELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.003),
        train=train,
        validation=heldout,
        epochs=20 if "OPT017" in repaired else 10,
        batch_size=2,
    )


PROGRAM = Program(
    id="SO-54811239",
    source="StackOverflow 54811239",
    build=build,
    splits=splits,
    task="regression",
    causes=("SET004", "OPT017"),
)
