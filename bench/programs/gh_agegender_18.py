"""GitHub yu4u/age-gender-estimation issue 18: the same class for each image.

A wide residual net trained by SGD for a few epochs only. Mended by training longer; confirmed by the author.
Here: a small residual net with batch-norm on digits, one epoch; 20 epochs once repaired.
"""

from torch import Tensor, nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, digits
from unstuck import Setup


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        shortcut: Tensor = x + self.path(x)
        return shortcut


def splits(repaired: Repaired) -> Splits:
    return digits(900, images=True)


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, stride=2),
        Block(8),
        Block(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    return Setup.of(
        model=network,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda parameters: optim.SGD(parameters, lr=0.01, momentum=0.9),
        train=train,
        validation=heldout,
        epochs=20 if "OPT017" in repaired else 1,
        batch_size=32,
    )


PROGRAM = Program(
    id="GH-agegender-18",
    source="GitHub yu4u/age-gender-estimation #18",
    build=build,
    splits=splits,
    task="classes",
    causes=("OPT017",),
    full_facts=False,
)
