"""StackOverflow 44164749 (also in DeepLocalize and DeepFD): a wide classifier, poor after five epochs.

784-5000-600-10 with ReLU and dropout 0.1, cross-entropy, SGD at 0.01 with momentum 0.9, batches of 2000, 5
epochs: 150 steps on MNIST. Rate 0.05 or more epochs do the work. Here the repaired rate is 0.1; of 0.05 and
0.1 neither quite sufficed alone. (The post is multi-label and names no data; as the benchmarks have it, it is
MNIST, so the loss is no fault.) Here: digits, a tenth of the units, and batches small enough to leave about
as many steps.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, digits
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return digits(1200)


def network() -> nn.Module:
    return nn.Sequential(
        nn.Linear(64, 500),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(500, 60),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(60, 10),
    )


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    rate = 0.1 if "OPT002" in repaired else 0.01
    return Setup.of(
        model=network,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda parameters: optim.SGD(parameters, lr=rate, momentum=0.9),
        train=train,
        validation=heldout,
        epochs=20 if "OPT017" in repaired else 5,
        batch_size=40,
    )


PROGRAM = Program(
    id="SO-44164749",
    source="StackOverflow 44164749",
    build=build,
    splits=splits,
    task="classes",
    causes=("OPT002", "OPT017"),
)
