"""blog.51cto.com 7627358: a regression whose predictions all come to one value.

7-1-100-150-1 with batch-norm, ReLU and dropout behind each hidden layer, a few rows. Answers: no first layer of one
unit, no dropout on a regression so small. Here: 200 generated rows, dropout 0.5, Adam at 0.01, batches of 20.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, normal
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    inputs = normal(500, 7, seed=601)
    targets = (inputs @ normal(7, 2, seed=602) / 2).tanh() @ normal(2, 1, seed=603)
    return divided(inputs, targets + 0.05 * normal(500, 1, seed=604), 200)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    first = 50 if "CAP002" in repaired else 1
    chance = 0.0 if "CAP003" in repaired else 0.5

    def network() -> nn.Module:
        layers: list[nn.Module] = []
        for before, width in ((7, first), (first, 100), (100, 150)):
            layers += [nn.Linear(before, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(chance)]
        return nn.Sequential(*layers, nn.Linear(150, 1))

    return Setup.of(
        model=network,
        loss=nn.MSELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.01),
        train=train,
        validation=heldout,
        epochs=25,
        batch_size=20,
    )


PROGRAM = Program(
    id="51CTO-7627358",
    source="blog.51cto.com u_87851/7627358",
    build=build,
    splits=splits,
    task="regression",
    causes=("CAP002", "CAP003"),
    full_facts=False,
)
