"""StackOverflow 34673164 (also in DeepLocalize and DeepFD): a table with features from 0.1 to 700000.

16-64-64-2 with tanh, dropout 0.5 and softmax, uniform start, mean squared error on one-hot labels, SGD at 0.1
with Nesterov momentum 0.9, batches of 16, 20 epochs, nine rows. Answers: scale or batch-norm, cross-entropy,
a lower rate. Here: a generated table with such scales, of 160 rows so that there is something to learn; the
label is linear.
"""

import torch
from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, normal, one_hot_targets, standardised
from bench.programs.pieces import keras_uniform, started
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    plain = normal(460, 16, seed=21)
    labels = (plain @ normal(16, seed=22) + 0.3 * normal(460, seed=23) > 0).long()
    scales = torch.logspace(-1, 5.8, 16)
    rows = divided(plain * scales + 2 * scales, labels, 160)
    rows = standardised(rows) if "DAT001" in repaired else rows
    return rows if "SET005" in repaired else one_hot_targets(rows, 2)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)

    def network() -> nn.Module:
        net = nn.Sequential(
            nn.Linear(16, 64),
            nn.Tanh(),
            nn.Dropout(0.5),
            nn.Linear(64, 64),
            nn.Tanh(),
            nn.Dropout(0.5),
            nn.Linear(64, 2),
            nn.Identity() if "SET005" in repaired else nn.Softmax(dim=1),
        )
        return started(net, keras_uniform)

    rate = 0.01 if "OPT001" in repaired else 0.1
    return Setup.of(
        model=network,
        loss=nn.CrossEntropyLoss() if "SET005" in repaired else nn.MSELoss(),
        optimizer=lambda parameters: optim.SGD(parameters, lr=rate, momentum=0.9, nesterov=True),
        train=train,
        validation=heldout,
        epochs=20,
        batch_size=16,
    )


PROGRAM = Program(
    id="SO-34673164",
    source="StackOverflow 34673164",
    build=build,
    splits=splits,
    task="classes",
    causes=("SET005", "DAT001", "OPT001"),
)
