"""StackOverflow 47735201 (also in deepmufl): a network in network comes to a plateau.

Stacks of convolutions with dropout 0.5, the last with one channel a class and ReLU, averaged over the image and
put through a softmax, Adam at 0.001, batches of 32, 200 epochs, CIFAR-10. Answer: no ReLU in front of the softmax.
Here: digits, an eighth of the channels, 14 epochs at 0.003.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, digits
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return digits(images=True)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    chance = 0.1 if "CAP003" in repaired else 0.5

    def network() -> nn.Module:
        layers: list[nn.Module] = []
        for before, channels in ((1, 24), (24, 24)):
            layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU()]
            layers += [nn.Conv2d(channels, channels, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(chance)]
        layers += [nn.Conv2d(24, 24, 3, padding=1), nn.ReLU(), nn.Conv2d(24, 10, 1)]
        layers += [] if "SET004" in repaired else [nn.ReLU()]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())

    return Setup.of(
        model=network,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.003),
        train=train,
        validation=heldout,
        epochs=14,
        batch_size=32,
    )


PROGRAM = Program(
    id="SO-47735201",
    source="StackOverflow 47735201",
    build=build,
    splits=splits,
    task="classes",
    causes=("SET004", "CAP003"),
)
