"""StackOverflow 46642627 (also in DeepFD and DEFault): a regression that performs poorly.

An MLP with uniform start, one sigmoid output and binary cross-entropy, SGD at 0.01, batches of 100, 150
epochs, 10000 generated rows with a real-valued target. Accepted: a linear output; with squared error and
Adam. Here: 1000 rows, a linear target with a mild bend, neither near 0 nor of unit scale. The repaired rate
is Adam's.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, normal, standardised_targets
from bench.programs.pieces import clipped_binary_cross_entropy, keras_uniform, started
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    inputs = normal(1400, 10, seed=31)
    bend = (inputs[:, :1] * inputs[:, 1:2]).tanh()
    targets = 4 * (inputs @ normal(10, 1, seed=32)) + 8 * bend + 10 + 0.5 * normal(1400, 1, seed=33)
    rows = divided(inputs, targets, 1000)
    return standardised_targets(rows) if "DAT002" in repaired else rows


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)

    def network() -> nn.Module:
        last = nn.Identity() if "SET004" in repaired else nn.Sigmoid()
        net = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1), last)
        return started(net, keras_uniform)

    return Setup.of(
        model=network,
        loss=nn.MSELoss() if "SET005" in repaired else clipped_binary_cross_entropy,
        optimizer=lambda parameters: (
            optim.Adam(parameters, lr=0.003) if "OPT002" in repaired else optim.SGD(parameters, lr=0.01)
        ),
        train=train,
        validation=heldout,
        epochs=100,
        batch_size=100,
    )


PROGRAM = Program(
    id="SO-46642627",
    source="StackOverflow 46642627",
    build=build,
    splits=splits,
    task="regression",
    causes=("SET004", "SET005", "DAT002", "OPT002"),
)
