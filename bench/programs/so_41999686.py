"""StackOverflow 41999686 (also in deepmufl): four classes, a low accuracy.

283-100-150-200-200-200 with ReLU and dropout 0.2, four sigmoids under a cross-entropy, normal start, SGD at 0.01
with momentum 0.9, batches of 32, 5 epochs, 1000 rows. Answers: a softmax, more epochs. Here: 40 features, half
the units; 15 epochs once repaired.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, clusters
from bench.programs.pieces import dense, keras_normal, normalised_cross_entropy, started
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return clusters(1000, 400, 40, 4, 1.0, seed=361)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)

    def network() -> nn.Module:
        last = nn.Softmax(dim=1) if "SET004" in repaired else nn.Sigmoid()
        net = dense(40, 50, 75, 100, 100, 100, 4, dropout=0.2, last=last)
        return started(net, nn.init.kaiming_normal_ if "OPT010" in repaired else keras_normal)

    return Setup.of(
        model=network,
        loss=normalised_cross_entropy,
        optimizer=lambda parameters: optim.SGD(parameters, lr=0.01, momentum=0.9),
        train=train,
        validation=heldout,
        epochs=15 if "OPT017" in repaired else 5,
        batch_size=32,
    )


PROGRAM = Program(
    id="SO-41999686",
    source="StackOverflow 41999686",
    build=build,
    splits=splits,
    task="classes",
    causes=("SET004", "OPT010", "OPT017"),
)
