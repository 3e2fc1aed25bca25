"""StackOverflow 52448552 (also in DEFault): ten classes of images are underfitted.

A convolutional net on pixels from 0 to 255, batches of 32, 2 epochs. Answers: divide by 255, train far longer. Here:
digits, two convolutions with a stride, SGD at 0.02 with momentum 0.9; 20 epochs once repaired.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, digits
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return digits(white=1.0 if "DAT001" in repaired else 255.0, images=True)


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, stride=2),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, padding=1, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, 32),
        nn.ReLU(),
        nn.Linear(32, 10),
    )


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    return Setup.of(
        model=network,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda parameters: optim.SGD(parameters, lr=0.02, momentum=0.9),
        train=train,
        validation=heldout,
        epochs=20 if "OPT017" in repaired else 2,
        batch_size=32,
    )


PROGRAM = Program(
    id="SO-52448552",
    source="StackOverflow 52448552",
    build=build,
    splits=splits,
    task="classes",
    causes=("DAT001", "OPT017"),
    full_facts=False,
)
