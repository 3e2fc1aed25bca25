"""GitHub aymericdamien/TensorFlow-Examples, commit bc09f95: the loss of an MLP on MNIST is huge or NaN.

784-256-256-10 with ReLU, all weights and biases from N(0, 1), cross-entropy summed over the batch, SGD at
0.01, batches of 100, 25 epochs. The commit takes the mean. Here: digits, 1000 rows. The repaired rate is
0.001 of the sum, which is 0.1 of the mean.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, digits
from bench.programs.pieces import started
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return digits(1000)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)

    def network() -> nn.Module:
        net = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))
        return net if "OPT010" in repaired else started(net, nn.init.normal_, biases=True)

    lower = 0.001 if "OPT010" in repaired else 0.0001
    per_sample = 100 * lower if "SET016" in repaired else lower
    rate = per_sample if "OPT001" in repaired else 0.01
    return Setup.of(
        model=network,
        loss=nn.CrossEntropyLoss(reduction="mean" if "SET016" in repaired else "sum"),
        optimizer=lambda parameters: optim.SGD(parameters, lr=rate),
        train=train,
        validation=heldout,
        epochs=25,
        batch_size=100,
    )


PROGRAM = Program(
    id="TFE-bc09f95",
    source="GitHub aymericdamien/TensorFlow-Examples bc09f95",
    build=build,
    splits=splits,
    task="classes",
    causes=("SET016", "OPT001", "OPT010"),
)
