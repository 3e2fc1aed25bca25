"""GitHub aymericdamien/TensorFlow-Examples issue 333 (also in TheDeepChecker): softmax regression gives NaN.

MNIST, weights and biases from N(0, 1), the logarithm of a softmax, SGD at 0.001, batches of 100, 25 epochs.
Answers: start small or at 0, the fused loss. Here: digits brought to 24 × 24 pixels, which gives inputs of
MNIST's size, a fiftieth of the rows, ten times the rate.
"""

from torch import Tensor, nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, digits
from bench.programs.pieces import started, unit_normal
from unstuck import Setup


def written_by_hand(logits: Tensor, labels: Tensor) -> Tensor:
    chance = logits.softmax(1)
    return -(chance.log() * nn.functional.one_hot(labels, 10)).sum(1).mean()


def splits(repaired: Repaired) -> Splits:
    return digits(larger=3)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)

    def network() -> nn.Module:
        net = nn.Sequential(nn.Linear(576, 10))
        return started(net, nn.init.zeros_) if "OPT010" in repaired else started(net, unit_normal, biases=True)

    return Setup.of(
        model=network,
        loss=nn.CrossEntropyLoss() if "OPT020" in repaired else written_by_hand,
        optimizer=lambda parameters: optim.SGD(parameters, lr=0.01),
        train=train,
        validation=heldout,
        epochs=25,
        batch_size=20,
    )


PROGRAM = Program(
    id="TFE-333",
    source="GitHub aymericdamien/TensorFlow-Examples #333",
    build=build,
    splits=splits,
    task="classes",
    causes=("OPT010", "OPT020"),
)
