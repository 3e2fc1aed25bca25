"""StackOverflow 66602662 (also in deepmufl): five classes, and the loss is 0.

5-32-16-8 with ReLU and dropout and one sigmoid under a categorical cross-entropy of logits, the labels 0 to 4 as
they are, Adam at 0.001, batches of 24, 20 epochs, 1000 rows. Mended by five logits and the sparse cross-entropy.
Here: generated classes, dropout 0.1, 25 epochs at 0.005.
"""

from torch import Tensor, nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, as_column, clusters
from bench.programs.pieces import dense
from unstuck import Setup


def categorical_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return -(targets * logits.log_softmax(1)).sum(1).mean()


def splits(repaired: Repaired) -> Splits:
    rows = clusters(1000, 400, 5, 5, 0.2, seed=561)
    return rows if "SET005" in repaired else as_column(rows)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    fits = "SET005" in repaired

    def network() -> nn.Module:
        last = None if fits else nn.Sigmoid()
        return dense(5, 32, 16, 8, 5 if fits else 1, dropout=0.1, last=last)

    return Setup.of(
        model=network,
        loss=nn.CrossEntropyLoss() if fits else categorical_cross_entropy,
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.005),
        train=train,
        validation=heldout,
        epochs=25,
        batch_size=24,
    )


PROGRAM = Program(
    id="SO-66602662",
    source="StackOverflow 66602662",
    build=build,
    splits=splits,
    task="classes",
    causes=("SET005",),
)
