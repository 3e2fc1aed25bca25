"""GitHub aymericdamien/TensorFlow-Examples issue 368 (also in TheDeepChecker): two hidden layers, a linear model.

784-256-256-10 without activations, weights and biases from N(0, 1), Adam at 0.1, batches of 128, 500 steps,
MNIST. Answers: ReLU, a lower rate. Here: digits, a quarter of the units, batches of 32. The repaired rate is
0.003.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, digits
from bench.programs.pieces import dense, started, unit_normal
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return digits()


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    between = nn.ReLU if "SET013" in repaired else nn.Identity

    def network() -> nn.Module:
        net = dense(64, 64, 64, 10, between=between)
        return started(net, nn.init.kaiming_normal_) if "OPT010" in repaired else started(net, unit_normal, biases=True)

    return Setup.of(
        model=network,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.003 if "OPT001" in repaired else 0.1),
        train=train,
        validation=heldout,
        epochs=16,
        batch_size=32,
    )


PROGRAM = Program(
    id="TFE-368",
    source="GitHub aymericdamien/TensorFlow-Examples #368",
    build=build,
    splits=splits,
    task="classes",
    causes=("SET013", "OPT001", "OPT010"),
)
