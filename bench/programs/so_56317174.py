"""StackOverflow 56317174 (also in deepmufl): rain or not, and always the same answer.

Three times 4 ReLU units with batch-norm in front and dropout 0.5 behind, one sigmoid, squared error on labels -1
and 1, RMSprop at 0.001, batches of 1024, 200 epochs, a weather table. Answers: labels 0 and 1 with binary
cross-entropy, less dropout, more units. Here: 600 generated rows, batches of 64, 30 epochs at 0.005.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, as_column, clusters, on_targets
from bench.programs.pieces import clipped_binary_cross_entropy
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    rows = as_column(clusters(600, 400, 4, 2, 0.25, seed=461))
    return rows if "SET005" in repaired else on_targets(rows, lambda y: 2 * y - 1)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    hidden = 32 if "CAP001" in repaired else 4
    chance = 0.0 if "CAP003" in repaired else 0.5
    signed = "SET004" in repaired and "SET005" not in repaired

    def network() -> nn.Module:
        layers: list[nn.Module] = []
        for before in (4, hidden, hidden):
            layers += [nn.BatchNorm1d(before), nn.Linear(before, hidden), nn.ReLU(), nn.Dropout(chance)]
        return nn.Sequential(*layers, nn.Linear(hidden, 1), nn.Tanh() if signed else nn.Sigmoid())

    return Setup.of(
        model=network,
        loss=clipped_binary_cross_entropy if "SET005" in repaired else nn.MSELoss(),
        optimizer=lambda parameters: optim.RMSprop(parameters, lr=0.005),
        train=train,
        validation=heldout,
        epochs=30,
        batch_size=64,
    )


PROGRAM = Program(
    id="SO-56317174",
    source="StackOverflow 56317174",
    build=build,
    splits=splits,
    task="binary",
    causes=("SET004", "SET005", "CAP001", "CAP003"),
)
