"""A Kaggle notebook on Melbourne house prices: the mean absolute error is the mean price.

n-20-20-1 with tanh, 1460 houses, prices of about a million as they are. The commit enlarges the tanh layers,
which saturate; the unscaled price is the reading of those who collected the case. Here: 600 generated houses
of eight standardised features, Adam at 0.001, mean absolute error.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, normal, standardised_targets
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    houses = normal(1000, 8, seed=181)
    worth = (houses @ normal(8, 1, seed=182) * 0.15 + 0.1 * normal(1000, 1, seed=183)).exp()
    rows = divided(houses, 1e6 * worth, 600)
    return standardised_targets(rows) if "DAT002" in repaired else rows


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    width = 100 if "CAP001" in repaired else 20
    return Setup.of(
        model=lambda: nn.Sequential(
            nn.Linear(8, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1)
        ),
        loss=nn.L1Loss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.001),
        train=train,
        validation=heldout,
        epochs=50,
        batch_size=32,
    )


PROGRAM = Program(
    id="kaggle-melbourne",
    source="Kaggle, Melbourne house prices",
    build=build,
    splits=splits,
    task="regression",
    causes=("DAT002", "CAP001"),
)
