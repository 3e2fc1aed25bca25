"""StackOverflow 35078027 (IPS-7 of Zhang et al., ISSTA 2018): ten digits as ten yes-or-no questions, NaN at once.

784-512 sigmoids-10 linear outputs, all weights from N(0, 1), a binary cross-entropy written by hand that takes
the logarithm of the raw outputs, SGD at 0.05, batches of 100, 10000 steps. Accepted: a sigmoid, probabilities
kept off 0 and 1, a rate of 0.5. Here: digits, 64 hidden units, batches of 20, 30 epochs.
"""

from torch import Tensor, nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, digits, one_hot_targets
from bench.programs.pieces import clipped_binary_cross_entropy, dense, started, unit_normal
from unstuck import Setup


def written_by_hand(outputs: Tensor, targets: Tensor) -> Tensor:
    return -(targets * outputs.log() + (1 - targets) * (1 - outputs).log()).mean()


def splits(repaired: Repaired) -> Splits:
    return one_hot_targets(digits(), 10)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)

    def network() -> nn.Module:
        last = nn.Sigmoid() if "SET003" in repaired else None
        net = dense(64, 64, 10, between=nn.Sigmoid, last=last)
        return started(net, nn.init.xavier_normal_ if "OPT010" in repaired else unit_normal)

    return Setup.of(
        model=network,
        loss=clipped_binary_cross_entropy if "OPT020" in repaired else written_by_hand,
        optimizer=lambda parameters: optim.SGD(parameters, lr=0.5 if "OPT002" in repaired else 0.05),
        train=train,
        validation=heldout,
        epochs=30,
        batch_size=20,
    )


PROGRAM = Program(
    id="SO-35078027",
    source="StackOverflow 35078027",
    build=build,
    splits=splits,
    task="classes",
    causes=("SET003", "OPT002", "OPT010", "OPT020"),
)
