"""StackOverflow 64634468 (also in DEFault): a regression does not learn.

An MLP under categorical cross-entropy, of a real-valued target. Mended by squared error. Here: 8-32-32-1 with ReLU,
600 generated rows, Adam at 0.003, batches of 32, 20 epochs.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, normal
from bench.programs.pieces import categorical_cross_entropy, dense
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    inputs = normal(1000, 8, seed=611)
    targets = (inputs @ normal(8, 2, seed=612) / 2).tanh() @ normal(2, 1, seed=613)
    return divided(inputs, targets + 0.05 * normal(1000, 1, seed=614), 600)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    return Setup.of(
        model=lambda: dense(8, 32, 32, 1),
        loss=nn.MSELoss() if "SET005" in repaired else categorical_cross_entropy,
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.003),
        train=train,
        validation=heldout,
        epochs=20,
        batch_size=32,
    )


PROGRAM = Program(
    id="SO-64634468",
    source="StackOverflow 64634468",
    build=build,
    splits=splits,
    task="regression",
    causes=("SET005",),
    full_facts=False,
)
