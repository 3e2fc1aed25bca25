"""StackOverflow 48385830 (also in DeepLocalize and DeepFD): digits, the loss is NaN after a few steps.

784-30-10 without any activation, weights and biases drawn from N(0, 1), mean squared error on one-hot labels,
SGD at 3.0, batches of 10, 30 epochs, MNIST in [0, 1]. The published patch has a sigmoid in between and
cross-entropy. Here: scikit-learn's digits, 64 pixels, 20 epochs of 600 rows.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, digits, one_hot_targets
from bench.programs.pieces import started
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return digits(600) if "SET005" in repaired else one_hot_targets(digits(600), 10)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)

    def network() -> nn.Module:
        between = nn.Sigmoid() if "SET013" in repaired else nn.Identity()
        net = nn.Sequential(nn.Linear(64, 30), between, nn.Linear(30, 10))
        return net if "OPT010" in repaired else started(net, nn.init.normal_, biases=True)

    rate = 0.3 if "OPT001" in repaired else 3.0
    return Setup.of(
        model=network,
        loss=nn.CrossEntropyLoss() if "SET005" in repaired else nn.MSELoss(),
        optimizer=lambda parameters: optim.SGD(parameters, lr=rate),
        train=train,
        validation=heldout,
        epochs=20,
        batch_size=10,
    )


PROGRAM = Program(
    id="SO-48385830",
    source="StackOverflow 48385830",
    build=build,
    splits=splits,
    task="classes",
    causes=("SET005", "SET013", "OPT001", "OPT010"),
)
