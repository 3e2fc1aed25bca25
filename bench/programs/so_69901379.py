"""StackOverflow 69901379: a regression whose loss falls very slowly from a million.

10 features, four layers of 16 with ReLU, one output, mean squared error, Adam at 0.0001, batches of 32, 1000
epochs, inputs from 50 to 2000 and targets from 600 to 4000, nothing scaled. Answers: scale both, a larger
rate. Here: a generated smooth target, 320 rows and 100 epochs.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, normal, standardised, standardised_targets, uniform
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    plain = uniform(-1, 1, 620, 10, seed=131)
    bent = plain @ normal(10, 1, seed=132) / 2 + plain[:, :1] ** 2
    rows = divided(1025 + 975 * plain, 2300 + 1700 * bent.tanh(), 320)
    rows = standardised(rows) if "DAT001" in repaired else rows
    return standardised_targets(rows) if "DAT002" in repaired else rows


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    rate = 0.01 if "OPT002" in repaired else 0.0001

    def network() -> nn.Module:
        layers: list[nn.Module] = []
        for i in range(4):
            layers += [nn.Linear(16 if i else 10, 16), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(16, 1))

    return Setup.of(
        model=network,
        loss=nn.MSELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=rate),
        train=train,
        validation=heldout,
        epochs=100,
        batch_size=32,
    )


PROGRAM = Program(
    id="SO-69901379",
    source="StackOverflow 69901379",
    build=build,
    splits=splits,
    task="regression",
    causes=("DAT001", "DAT002", "OPT002"),
)
