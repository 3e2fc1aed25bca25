"""StackOverflow 56888491: a deep classifier with the accuracy of a linear one.

5-15-15-15 without activations and a softmax, Adam at 0.001, batches of 20, 10000 epochs, 10000 rows of 5
features. Answer: ReLU. Here: 800 generated rows whose three classes are several clusters each, 25 epochs; the
softmax is the loss's own.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, clusters
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return clusters(800, 500, 5, 3, 0.3, seed=171)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)

    def network() -> nn.Module:
        layers: list[nn.Module] = []
        for width in (5, 15, 15):
            layers.append(nn.Linear(width, 15))
            if "SET013" in repaired:
                layers.append(nn.ReLU())
        return nn.Sequential(*layers, nn.Linear(15, 3))

    return Setup.of(
        model=network,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.003),
        train=train,
        validation=heldout,
        epochs=30,
        batch_size=20,
    )


PROGRAM = Program(
    id="SO-56888491",
    source="StackOverflow 56888491",
    build=build,
    splits=splits,
    task="classes",
    causes=("SET013",),
)
