"""StackOverflow 72965428 (also in DEFault): digits, a poor accuracy.

Convolutions without activations, then a dense layer of 10 with ReLU in front of the softmax, batches of 12, 25
epochs. Answers: ReLU behind the convolutions, none in front of the softmax. Here: two convolutions of 4 channels,
Adam at 0.001, 15 epochs.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, digits
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return digits(images=True)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    between = nn.ReLU if "SET013" in repaired else nn.Identity

    def network() -> nn.Module:
        layers = [nn.Conv2d(1, 4, 3, padding=1), between(), nn.Conv2d(4, 4, 3, padding=1), between(), nn.Flatten()]
        return nn.Sequential(*layers, nn.Linear(256, 10), nn.Identity() if "SET004" in repaired else nn.ReLU())

    return Setup.of(
        model=network,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.001),
        train=train,
        validation=heldout,
        epochs=15,
        batch_size=12,
    )


PROGRAM = Program(
    id="SO-72965428",
    source="StackOverflow 72965428",
    build=build,
    splits=splits,
    task="classes",
    causes=("SET004", "SET013"),
    full_facts=False,
)
