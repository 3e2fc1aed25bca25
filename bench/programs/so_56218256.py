"""StackOverflow 56218256 (also in deepmufl): yes or no, the loss is 0 at once and the accuracy constant.

19900-1000-64-32 with ReLU and a softmax over the single output under categorical cross-entropy, Adam at 0.001,
batches of 1000, 100 epochs, 1000 rows. Mended by a sigmoid and binary cross-entropy. Here: the correlations of
generated signals (two groups, 190 pairs), 64 units in the first layer, 600 rows, batches of 200, 60 epochs.
"""

import torch
from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, as_column, divided, generator
from bench.programs.pieces import categorical_cross_entropy, clipped_binary_cross_entropy, dense
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    random = generator(451)
    labels = torch.randint(2, (1000,), generator=random)
    mixing = torch.randn(2, 20, 20, generator=random) / 2 + 2 * torch.eye(20)
    signals = torch.randn(1000, 60, 20, generator=random) @ mixing[labels]
    signals = (signals - signals.mean(1, keepdim=True)) / signals.std(1, keepdim=True)
    pairs = torch.triu_indices(20, 20, 1)
    correlations = (signals.transpose(1, 2) @ signals / 60)[:, pairs[0], pairs[1]]
    return as_column(divided(correlations, labels, 600))


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    last = nn.Sigmoid if "SET004" in repaired else lambda: nn.Softmax(dim=1)
    return Setup.of(
        model=lambda: dense(190, 64, 64, 32, 1, last=last()),
        loss=clipped_binary_cross_entropy if "SET005" in repaired else categorical_cross_entropy,
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.001),
        train=train,
        validation=heldout,
        epochs=60,
        batch_size=200,
    )


PROGRAM = Program(
    id="SO-56218256",
    source="StackOverflow 56218256",
    build=build,
    splits=splits,
    task="binary",
    causes=("SET004", "SET005"),
)
