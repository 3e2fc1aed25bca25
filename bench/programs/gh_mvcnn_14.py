"""GitHub WeiTang114/MVCNN-TensorFlow issue 14: always class 0 after 300 steps.

A net like AlexNet with a ReLU behind its last layer too, SGD, batches of 8. Mended by removing that ReLU;
confirmed by the author. Here: a small convolutional net on digits, SGD at 0.02 with momentum 0.9, batches of
8, 300 steps.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, digits
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return digits(800, images=True)


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    return Setup.of(
        model=lambda: network() if "SET004" in repaired else network().append(nn.ReLU()),
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda parameters: optim.SGD(parameters, lr=0.02, momentum=0.9),
        train=train,
        validation=heldout,
        epochs=5,
        batch_size=8,
    )


PROGRAM = Program(
    id="GH-MVCNN-14",
    source="GitHub WeiTang114/MVCNN-TensorFlow #14",
    build=build,
    splits=splits,
    task="classes",
    causes=("SET004",),
    full_facts=False,
)
