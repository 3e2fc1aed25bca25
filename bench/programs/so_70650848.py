"""StackOverflow 70650848 (also in deepmufl): iris, the accuracy is 0 or constant.

Twice 4 ReLU units with batch-norm and dropout 0.3 behind, one sigmoid under a categorical cross-entropy, the labels
0 to 2 as they are, SGD at 0.01, batches of 16, 200 epochs; the scaled inputs are thrown away. Answers: three
outputs with softmax and the sparse cross-entropy, and the scaled inputs. Here: 100 epochs.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, as_column, iris, standardised
from bench.programs.pieces import categorical_cross_entropy
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    rows = standardised(iris()) if "DAT001" in repaired else iris()
    return rows if "SET005" in repaired else as_column(rows)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    chance = 0.0 if "CAP003" in repaired else 0.3

    def network() -> nn.Module:
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [nn.Linear(4, 4), nn.ReLU(), nn.BatchNorm1d(4), nn.Dropout(chance)]
        last = [nn.Linear(4, 3)] if "SET005" in repaired else [nn.Linear(4, 1), nn.Sigmoid()]
        return nn.Sequential(*layers, *last)

    return Setup.of(
        model=network,
        loss=nn.CrossEntropyLoss() if "SET005" in repaired else categorical_cross_entropy,
        optimizer=lambda parameters: optim.SGD(parameters, lr=0.01),
        train=train,
        validation=heldout,
        epochs=100,
        batch_size=16,
    )


PROGRAM = Program(
    id="SO-70650848",
    source="StackOverflow 70650848",
    build=build,
    splits=splits,
    task="classes",
    causes=("SET005", "DAT001", "CAP003"),
)
