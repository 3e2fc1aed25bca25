"""StackOverflow 39810655 (also in DeepFD): iris is classified poorly after a handful of epochs.

A dense net from 4 features to 3 classes, Adam at 0.001, another loss than cross-entropy. Accepted:
cross-entropy on the class numbers, and more epochs. The hidden width and loss are not in the copies kept:
here 16 units, and squared error on one-hot labels behind a softmax; 10 epochs of 16 rows a batch.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, iris, one_hot_targets
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return iris() if "SET005" in repaired else one_hot_targets(iris(), 3)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    fitting = "SET005" in repaired
    return Setup.of(
        model=lambda: nn.Sequential(
            nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3), nn.Identity() if fitting else nn.Softmax(dim=1)
        ),
        loss=nn.CrossEntropyLoss() if fitting else nn.MSELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.001),
        train=train,
        validation=heldout,
        epochs=200 if "OPT017" in repaired else 10,
        batch_size=16,
    )


PROGRAM = Program(
    id="SO-39810655",
    source="StackOverflow 39810655",
    build=build,
    splits=splits,
    task="classes",
    causes=("SET005", "OPT017"),
)
