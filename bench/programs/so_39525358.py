"""StackOverflow 39525358 (also in DeepLocalize and DeepFD): three letter codes, accuracy at the base rate.

3-12-3-1 with ReLU and a sigmoid, uniform start, binary cross-entropy, Adam at 0.001, batches of 10, 150
epochs, 21 rows of three integers from 65 to 70 (the codes of the letters A to F). Accepted: scale the inputs;
it then reaches 1.0 (and soon, with Adam at 0.01). Here: 21 rows for which the first and third letter decide,
and the rest of the alphabet's triples held out.
"""

import torch
from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, standardised
from bench.programs.pieces import keras_uniform, started
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    codes = torch.arange(65.0, 71.0)
    inputs = torch.cartesian_prod(codes, codes, codes)
    targets = (inputs[:, :1] + inputs[:, 2:] > 136).float()
    rows = divided(inputs, targets, 21, seed=1)
    return standardised(rows) if "DAT001" in repaired else rows


def build(repaired: Repaired) -> Setup:
    def network() -> nn.Module:
        net = nn.Sequential(nn.Linear(3, 12), nn.ReLU(), nn.Linear(12, 3), nn.ReLU(), nn.Linear(3, 1), nn.Sigmoid())
        return started(net, keras_uniform)

    return Setup.of(
        model=network,
        loss=nn.BCELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.01 if "OPT002" in repaired else 0.001),
        train=splits(repaired).train,
        epochs=150,
        batch_size=10,
    )


PROGRAM = Program(
    id="SO-39525358",
    source="StackOverflow 39525358",
    build=build,
    splits=splits,
    task="binary",
    causes=("DAT001", "OPT002"),
)
