"""StackOverflow 41596619 (also in deepmufl): four classes, and the answer is always class 0.

3-3 ReLU-1 sigmoid with uniform start under binary cross-entropy, the labels 0 to 3 as they are, an argmax over the
one output, SGD at 0.001, all 11 rows a batch, 150 epochs. Mended by four outputs and cross-entropy; it also takes
a higher rate. The repaired rate is Adam's 0.05. Here: four corners with a little noise, more of them held out.
"""

import torch
from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, as_column, normal
from bench.programs.pieces import clipped_binary_cross_entropy, dense, keras_uniform, started
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    corners = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    labels = torch.arange(111) % 4
    inputs = corners[labels] + 0.1 * normal(111, 3, seed=351)
    rows = Splits((inputs[:11], labels[:11]), (inputs[11:], labels[11:]))
    return rows if "SET005" in repaired else as_column(rows)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    hidden = 12 if "CAP001" in repaired else 3

    def network() -> nn.Module:
        net = dense(3, hidden, 4) if "SET005" in repaired else dense(3, hidden, 1, last=nn.Sigmoid())
        return started(net, keras_uniform)

    return Setup.of(
        model=network,
        loss=nn.CrossEntropyLoss() if "SET005" in repaired else clipped_binary_cross_entropy,
        optimizer=lambda parameters: (
            optim.Adam(parameters, lr=0.05) if "OPT002" in repaired else optim.SGD(parameters, lr=0.001)
        ),
        train=train,
        validation=heldout,
        epochs=150,
        batch_size=11,
    )


PROGRAM = Program(
    id="SO-41596619",
    source="StackOverflow 41596619",
    build=build,
    splits=splits,
    task="classes",
    causes=("SET005", "OPT002", "CAP001"),
)
