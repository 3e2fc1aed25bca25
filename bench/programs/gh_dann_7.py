"""GitHub NaJaeMin92/pytorch-DANN issue 7: ten classes, hard to train.

A softmax at the end of the classifier in front of CrossEntropyLoss, MNIST. Confirmed by the author. Here: digits, two
convolutions with pooling and 32 units, SGD at 0.03 with momentum 0.9, 10 epochs.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, digits
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return digits(images=True)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)

    def network() -> nn.Module:
        layers: list[nn.Module] = []
        for before, channels in ((1, 8), (8, 16)):
            layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        layers += [nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)]
        return nn.Sequential(*layers, *([] if "SET002" in repaired else [nn.Softmax(dim=1)]))

    return Setup.of(
        model=network,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda parameters: optim.SGD(parameters, lr=0.03, momentum=0.9),
        train=train,
        validation=heldout,
        epochs=10,
        batch_size=32,
    )


PROGRAM = Program(
    id="GH-DANN-7",
    source="GitHub NaJaeMin92/pytorch-DANN #7",
    build=build,
    splits=splits,
    task="classes",
    causes=("SET002",),
    full_facts=False,
)
