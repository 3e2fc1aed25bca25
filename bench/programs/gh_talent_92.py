"""GitHub LAMDA-Tabular/TALENT pull request 92 (merged): regressions on tables silently fail to converge.

Outputs of shape (n, 1) against targets of shape (n,) in the squared error. Mended by a reshape. Here: a
two-layer net on the diabetes data, features and target standardised as that library does.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, diabetes, on_targets, standardised, standardised_targets
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    rows = standardised_targets(standardised(diabetes()))
    return on_targets(rows, lambda y: y.unsqueeze(1)) if "SET001" in repaired else rows


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    return Setup.of(
        model=lambda: nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 1)),
        loss=nn.MSELoss(),
        optimizer=lambda parameters: optim.AdamW(parameters, lr=0.001),
        train=train,
        validation=heldout,
        epochs=50,
        batch_size=32,
    )


PROGRAM = Program(
    id="GH-TALENT-92",
    source="GitHub LAMDA-Tabular/TALENT #92",
    build=build,
    splits=splits,
    task="regression",
    causes=("SET001",),
    full_facts=False,
)
