"""StackOverflow 34311586 (also in DeepLocalize and DeepFD): XOR, every output is 1 and the loss stuck.

2-2-3-1 with sigmoids and a softmax over the single output, uniform start, mean squared error, SGD at 0.001
with Nesterov momentum 0.9, six rows (two of XOR's twice) as one batch, 20 epochs. Accepted: a sigmoid at the
end; it also takes a higher rate and far more epochs. The repaired rate is Adam's 0.05. So few units mostly
end in a local minimum of XOR even then; the repaired net has 8 in both layers.
"""

import torch
from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, xor
from bench.programs.pieces import keras_uniform, started
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    inputs, targets = xor().train
    twice = torch.cat([torch.arange(4), torch.arange(2)])
    rows = inputs[twice], targets[twice]
    return Splits(rows, (inputs, targets))


def build(repaired: Repaired) -> Setup:
    first, second = (8, 8) if "CAP001" in repaired else (2, 3)

    def network() -> nn.Module:
        last = nn.Sigmoid() if "SET004" in repaired else nn.Softmax(dim=1)
        net = nn.Sequential(
            nn.Linear(2, first),
            nn.Sigmoid(),
            nn.Linear(first, second),
            nn.Sigmoid(),
            nn.Linear(second, 1),
            last,
        )
        return started(net, nn.init.xavier_normal_ if "OPT010" in repaired else keras_uniform)

    return Setup.of(
        model=network,
        loss=nn.MSELoss(),
        optimizer=lambda parameters: (
            optim.Adam(parameters, lr=0.05)
            if "OPT002" in repaired
            else optim.SGD(parameters, lr=0.001, momentum=0.9, nesterov=True)
        ),
        train=splits(repaired).train,
        epochs=1000 if "OPT017" in repaired else 20,
        batch_size=6,
    )


PROGRAM = Program(
    id="SO-34311586",
    source="StackOverflow 34311586",
    build=build,
    splits=splits,
    task="binary",
    causes=("SET004", "OPT002", "OPT010", "OPT017", "CAP001"),
)
