"""StackOverflow 55328966 (also in DeepLocalize and DeepFD): digits, accuracy 0.1 whatever the epoch.

784-784-50-10, the first layer linear, then ReLU, sigmoids at the end under Keras' cross-entropy, SGD at
0.0001, batches of 32, 10 epochs, 5000 MNIST rows with pixels from 0 to 255. Accepted: divide by 255 (with
Adam). Here: digits brightened to 255. The repaired rate is Adam's default.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, digits
from bench.programs.pieces import normalised_cross_entropy
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return digits(1200, white=1.0 if "DAT001" in repaired else 255.0)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    return Setup.of(
        model=lambda: nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 50), nn.ReLU(), nn.Linear(50, 10), nn.Sigmoid()),
        loss=normalised_cross_entropy,
        optimizer=lambda parameters: (
            optim.Adam(parameters, lr=0.001) if "OPT002" in repaired else optim.SGD(parameters, lr=0.0001)
        ),
        train=train,
        validation=heldout,
        epochs=10,
        batch_size=32,
    )


PROGRAM = Program(
    id="SO-55328966",
    source="StackOverflow 55328966",
    build=build,
    splits=splits,
    task="classes",
    causes=("DAT001", "OPT002"),
)
