"""StackOverflow 33641799 (IPS-14 of Zhang et al., ISSTA 2018): larger batches, and the accuracy falls to chance.

Softmax regression on MNIST, a cross-entropy written by hand and summed over the batch, SGD at 0.01, batches of
205, 1000 steps. Answers: the mean, or half the rate. Here: digits brought to 24 × 24 pixels, which gives inputs
of MNIST's size, and 0.5 for the mean, which is 0.0024 for the sum.
"""

from torch import Tensor, nn, optim
from torch.nn.functional import cross_entropy

from bench.programs import Program, Repaired
from bench.programs.data import Splits, digits
from unstuck import Setup


def written_by_hand(logits: Tensor, labels: Tensor) -> Tensor:
    chance = logits.softmax(1)
    return -(chance.log() * nn.functional.one_hot(labels, 10)).sum()


def guarded(logits: Tensor, labels: Tensor) -> Tensor:
    return cross_entropy(logits, labels, reduction="sum")


def splits(repaired: Repaired) -> Splits:
    return digits(1230, larger=3)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    loss = guarded if "OPT020" in repaired else written_by_hand

    def mean(logits: Tensor, labels: Tensor) -> Tensor:
        return loss(logits, labels) / len(labels)

    rate = 0.5 if "SET016" in repaired else 0.005 if "OPT001" in repaired else 0.01

    return Setup.of(
        model=lambda: nn.Linear(576, 10),
        loss=mean if "SET016" in repaired else loss,
        optimizer=lambda parameters: optim.SGD(parameters, lr=rate),
        train=train,
        validation=heldout,
        epochs=160,
        batch_size=205,
    )


PROGRAM = Program(
    id="SO-33641799",
    source="StackOverflow 33641799",
    build=build,
    splits=splits,
    task="classes",
    causes=("SET016", "OPT001", "OPT020"),
)
