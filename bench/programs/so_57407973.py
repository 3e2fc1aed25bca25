"""StackOverflow 57407973: the Higgs table, the accuracy stays at 0.5 in part of the runs.

28-28-200-300-300-150 with sigmoids and dropout 0.5, one linear output under Keras' binary cross-entropy, Adam at
0.001, batches of 32, 34 epochs. Answers: a sigmoid at the end, ReLU in the hidden layers, less dropout.
Here: 640 generated rows of 28 features whose classes are several clusters each, a quarter of the units.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, clusters, on_targets
from bench.programs.pieces import clipped_binary_cross_entropy
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    rows = clusters(640, 400, 28, 2, 1.0, seed=221)
    return on_targets(rows, lambda labels: labels.float().unsqueeze(1))


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    between = nn.ReLU if "OPT006" in repaired else nn.Sigmoid
    chance = 0.1 if "CAP003" in repaired else 0.5
    widths = (28, 28, 50, 75, 75, 38)

    def network() -> nn.Module:
        layers: list[nn.Module] = []
        for i in range(5):
            layers += [nn.Linear(widths[i], widths[i + 1]), between(), nn.Dropout(chance)]
        return nn.Sequential(*layers, nn.Linear(38, 1), nn.Sigmoid() if "SET003" in repaired else nn.Identity())

    return Setup.of(
        model=network,
        loss=clipped_binary_cross_entropy,
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.001),
        train=train,
        validation=heldout,
        epochs=34,
        batch_size=32,
    )


PROGRAM = Program(
    id="SO-57407973",
    source="StackOverflow 57407973",
    build=build,
    splits=splits,
    task="binary",
    causes=("SET003", "OPT006", "CAP003"),
)
