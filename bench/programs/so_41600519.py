"""StackOverflow 41600519 (also in DeepFD): the Higgs table, a poor result.

An MLP trained by RMSprop at 0.001 with batches of a single row, for one epoch. Answers: a bigger model, Adam,
100 epochs, batches of 64. Here: 600 generated rows of 10 features whose classes are several clusters each, 12
hidden units (64 once repaired). Not in the answers: ten times the rate makes up for the single epoch.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, clusters, on_targets
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    rows = clusters(600, 400, 10, 2, 0.5, seed=61)
    return on_targets(rows, lambda labels: labels.float().unsqueeze(1))


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    hidden = 64 if "CAP001" in repaired else 12
    rate = 0.01 if "OPT002" in repaired else 0.001
    family = optim.Adam if "OPT015" in repaired else optim.RMSprop
    return Setup.of(
        model=lambda: nn.Sequential(nn.Linear(10, hidden), nn.ReLU(), nn.Linear(hidden, 1), nn.Sigmoid()),
        loss=nn.BCELoss(),
        optimizer=lambda parameters: family(parameters, lr=rate),
        train=train,
        validation=heldout,
        epochs=100 if "OPT017" in repaired else 1,
        batch_size=64 if "OPT012" in repaired else 1,
    )


PROGRAM = Program(
    id="SO-41600519",
    source="StackOverflow 41600519",
    build=build,
    splits=splits,
    task="binary",
    causes=("OPT002", "OPT012", "OPT015", "OPT017", "CAP001"),
)
