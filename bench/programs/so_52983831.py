"""StackOverflow 52983831 (also in deepmufl): a GRU over bits, and the accuracy is constant.

Two GRUs of 10 units and a softmax over the single output, binary cross-entropy, Adam at 0.001, batches of 1, 3000
epochs of a short sequence of bits. Mended by a sigmoid. Here: every sequence of 8 bits, whether the last two
differ, batches of 8, 25 epochs at 0.01.
"""

import torch
from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided
from bench.programs.pieces import LastStep
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    bits = ((torch.arange(256).unsqueeze(1) >> torch.arange(8)) & 1).float()
    return divided(bits.unsqueeze(2), (bits[:, -1:] != bits[:, -2:-1]).float(), 128)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    last = nn.Sigmoid if "SET004" in repaired else lambda: nn.Softmax(dim=1)
    return Setup.of(
        model=lambda: nn.Sequential(LastStep(nn.GRU(1, 10, num_layers=2, batch_first=True)), nn.Linear(10, 1), last()),
        loss=nn.BCELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.01),
        train=train,
        validation=heldout,
        epochs=25,
        batch_size=8,
    )


PROGRAM = Program(
    id="SO-52983831",
    source="StackOverflow 52983831",
    build=build,
    splits=splits,
    task="binary",
    causes=("SET004",),
)
