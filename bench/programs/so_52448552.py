"""StackOverflow 52448552: a convolutional net underfits.

Pixels from 0 to 255, batches of 32, 2 epochs. Answers: divide by 255, and 200 epochs with early stopping. The
layers and the optimizer are not in the stored facts: here two convolutions and two dense layers with sigmoids
on digits brightened to 255, SGD at 0.01 with momentum 0.9; 25 epochs once repaired.
"""

from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

from bench.programs import Program, Repaired
from bench.programs.data import Splits, digits
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return digits(white=1.0 if "DAT001" in repaired else 255.0, images=True)


def network() -> nn.Module:
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
        model=network,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda parameters: optim.SGD(parameters, lr=0.01, momentum=0.9),
        train=DataLoader(TensorDataset(*train), batch_size=32, shuffle=True),
        validation=DataLoader(TensorDataset(*heldout), batch_size=200),
        epochs=25 if "OPT017" in repaired else 2,
    )


PROGRAM = Program(
    id="SO-52448552",
    source="StackOverflow 52448552",
    build=build,
    splits=splits,
    task="classes",
    causes=("DAT001", "OPT017"),
)
