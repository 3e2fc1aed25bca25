"""StackOverflow 51749207 (also in defect4ML, NeuraLint and deepmufl): signals, the accuracy never changes.

A convolution of 20 with pooling and dropout 0.3, a dense layer of 50 and a softmax over the single output
under binary cross-entropy, Nadam at 0.001, batches of 8, 100 epochs, 549 signals of 600 samples. Accepted: a
sigmoid. Here: 240 signals of 60 samples, a slow or a fast wave in noise, and 12 epochs.
"""

import math

import torch
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, normal, uniform
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    fast = (torch.arange(400) % 2).float().unsqueeze(1)
    turns = torch.arange(60) / 60 * (4 + 3 * fast) + uniform(0, 1, 400, 1, seed=51)
    signals = torch.sin(2 * math.pi * turns) + 0.5 * normal(400, 60, seed=52)
    return divided(signals.unsqueeze(1), fast, 240)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    return Setup.of(
        model=lambda: nn.Sequential(
            nn.Conv1d(1, 20, 9),
            nn.ReLU(),
            nn.MaxPool1d(4),
            nn.Dropout(0.3),
            nn.Flatten(),
            nn.Linear(260, 50),
            nn.ReLU(),
            nn.Linear(50, 1),
            nn.Sigmoid() if "SET004" in repaired else nn.Softmax(dim=1),
        ),
        loss=nn.BCELoss(),
        optimizer=lambda parameters: optim.NAdam(parameters, lr=0.001),
        train=DataLoader(TensorDataset(*train), batch_size=8, shuffle=True),
        validation=DataLoader(TensorDataset(*heldout), batch_size=80),
        epochs=12,
    )


PROGRAM = Program(
    id="SO-51749207",
    source="StackOverflow 51749207",
    build=build,
    splits=splits,
    task="binary",
    causes=("SET004",),
)
