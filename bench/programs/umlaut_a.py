"""Program A of the UMLAUT user study (faults seeded by its authors): chance accuracy on CIFAR-10.

Convolutions of 64, 64, 128 and 128 channels with dropout 0.8 three times, ten logits into a cross-entropy that
expects probabilities, pixels from 0 to 255, Adam at 0.001, batches of 128, 10 epochs. Repaired: pixels from 0 to
1, dropout 0.2, the cross-entropy of logits. Here: digits, an eighth of the channels, batches of 16, 7 epochs at 0.002.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, digits
from bench.programs.pieces import normalised_cross_entropy
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return digits(white=1.0 if "DAT001" in repaired else 255.0, images=True)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    chance = 0.2 if "CAP003" in repaired else 0.8

    def network() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Dropout(chance),
            nn.Conv2d(8, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Dropout(chance),
            nn.Flatten(),
            nn.Linear(64, 64),
            nn.ReLU(),
            nn.Dropout(chance),
            nn.Linear(64, 10),
        )

    return Setup.of(
        model=network,
        loss=nn.CrossEntropyLoss() if "SET003" in repaired else normalised_cross_entropy,
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.002),
        train=train,
        validation=heldout,
        epochs=7,
        batch_size=16,
    )


PROGRAM = Program(
    id="UMLAUT-A",
    source="UMLAUT user study, program A",
    build=build,
    splits=splits,
    task="classes",
    causes=("SET003", "DAT001", "CAP003"),
)
