"""StackOverflow 37624102 (also in Humbatova's taxonomy and DeepFD): an image classifier's loss does not fall.

The usual convolutional net for CIFAR-10, SGD at 0.1 with Nesterov momentum 0.9, batches of 32. Accepted:
0.001. Here: a small such net on digits of 8 × 8; at this size 0.01 is the repaired rate, 0.001 being too slow
for 5 epochs.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, digits
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return digits(1000, white=16.0, images=True)


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(72, 64),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(64, 10),
    )


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    rate = 0.01 if "OPT001" in repaired else 0.1
    return Setup.of(
        model=network,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda parameters: optim.SGD(parameters, lr=rate, momentum=0.9, nesterov=True, weight_decay=1e-6),
        train=train,
        validation=heldout,
        epochs=8,
        batch_size=32,
    )


PROGRAM = Program(
    id="SO-37624102",
    source="StackOverflow 37624102",
    build=build,
    splits=splits,
    task="classes",
    causes=("OPT001",),
    full_facts=False,
)
