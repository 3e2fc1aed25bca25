"""StackOverflow 51901386 (also in deepmufl): nine classes of images, the loss is constant or NaN.

Eight convolutions, 1024 units and nine outputs with ReLU under a cross-entropy of probabilities, Adam at 0.0001,
batches of 24, 5 epochs. Mended by a softmax. Here: nine classes of digits, 12 channels, 64 units, twenty times
the rate, 12 epochs.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, digits
from bench.programs.pieces import normalised_cross_entropy
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return digits(900, images=True, classes=9)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)

    def network() -> nn.Module:
        layers: list[nn.Module] = []
        for block in range(2):
            for i in range(4):
                layers += [nn.Conv2d(12 if block or i else 1, 12, 3, padding=1), nn.ReLU()]
            layers += [nn.MaxPool2d(2)]
        layers += [nn.Flatten(), nn.Linear(48, 64), nn.ReLU(), nn.Linear(64, 9)]
        layers += [] if "SET004" in repaired else [nn.ReLU()]
        return nn.Sequential(*layers, *([nn.Softmax(dim=1)] if "SET003" in repaired else []))

    return Setup.of(
        model=network,
        loss=normalised_cross_entropy,
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.002),
        train=train,
        validation=heldout,
        epochs=12,
        batch_size=24,
    )


PROGRAM = Program(
    id="SO-51901386",
    source="StackOverflow 51901386",
    build=build,
    splits=splits,
    task="classes",
    causes=("SET003", "SET004"),
)
