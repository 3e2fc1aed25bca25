"""StackOverflow 48385830 (also in DeepLocalize and DeepFD): MNIST, the loss is infinite after a few steps.

784-30-10 without any activation, weights and biases from N(0, 1), squared error on one-hot labels, SGD at 3.0,
batches of 10, 30 epochs. Accepted: sigmoid, softmax and cross-entropy, which reach 0.96. Here: digits, a
seventieth of the rows, 10 epochs. The repaired rate is 0.3.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, digits, one_hot_targets
from bench.programs.pieces import dense, started, unit_normal
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return digits() if "SET005" in repaired else one_hot_targets(digits(), 10)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    between = nn.Sigmoid if "SET013" in repaired else nn.Identity

    def network() -> nn.Module:
        net = dense(64, 30, 10, between=between)
        return started(net, nn.init.xavier_normal_) if "OPT010" in repaired else started(net, unit_normal, biases=True)

    return Setup.of(
        model=network,
        loss=nn.CrossEntropyLoss() if "SET005" in repaired else nn.MSELoss(),
        optimizer=lambda parameters: optim.SGD(parameters, lr=0.3 if "OPT001" in repaired else 3.0),
        train=train,
        validation=heldout,
        epochs=10,
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
