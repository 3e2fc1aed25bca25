"""StackOverflow 49583466 (also in deepmufl): a sine, and the prediction is its mean.

1-20-20-20-1 with sigmoids and a uniform start, squared error, SGD at 0.01, batches of 32, 2 epochs of 5000 points
on [-10, 10], inputs and targets brought to [0, 1]. Answers: tanh or ReLU, Adam, more epochs. Here: 1000 points on
[-5, 5], 10 epochs; 40 once repaired, at Adam's 0.01.
"""

import torch
from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, uniform
from bench.programs.pieces import dense, keras_uniform, started
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    x = uniform(-5, 5, 1300, 1, seed=401)
    return divided(x / 10 + 0.5, torch.sin(x) / 2 + 0.5, 1000)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    between = nn.ReLU if "OPT006" in repaired else nn.Sigmoid

    def network() -> nn.Module:
        net = dense(1, 20, 20, 20, 1, between=between)
        return started(net, nn.init.kaiming_normal_ if "OPT010" in repaired else keras_uniform)

    return Setup.of(
        model=network,
        loss=nn.MSELoss(),
        optimizer=lambda parameters: (
            optim.Adam(parameters, lr=0.01) if "OPT002" in repaired else optim.SGD(parameters, lr=0.01)
        ),
        train=train,
        validation=heldout,
        epochs=40 if "OPT017" in repaired else 10,
        batch_size=32,
    )


PROGRAM = Program(
    id="SO-49583466",
    source="StackOverflow 49583466",
    build=build,
    splits=splits,
    task="regression",
    causes=("OPT002", "OPT006", "OPT010", "OPT017"),
)
