"""StackOverflow 45378493 (also in defect4ML and deepmufl): the accuracy is the share of class 1.

Convolutions of 16 and 8 channels over sequences of 10 steps and 4 features, each with batch-norm, LeakyReLU and
dropout, 64 units and a softmax over the single output, binary cross-entropy, Adam at 0.001, batches of 128, 100
epochs. Accepted: a sigmoid. Here: 600 generated sequences that hold one of two motifs, batches of 32, 15 epochs.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, as_column, motifs, on_inputs
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return on_inputs(as_column(motifs(600, 400, 10, 4, seed=301)), lambda x: x.transpose(1, 2).contiguous())


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)

    def network() -> nn.Module:
        layers: list[nn.Module] = []
        for before, channels in ((4, 16), (16, 8)):
            layers += [nn.Conv1d(before, channels, 3), nn.BatchNorm1d(channels), nn.LeakyReLU(), nn.Dropout(0.2)]
        layers += [nn.Flatten(), nn.Linear(48, 64), nn.BatchNorm1d(64), nn.LeakyReLU(), nn.Linear(64, 1)]
        return nn.Sequential(*layers, nn.Sigmoid() if "SET004" in repaired else nn.Softmax(dim=1))

    return Setup.of(
        model=network,
        loss=nn.BCELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.001),
        train=train,
        validation=heldout,
        epochs=15,
        batch_size=32,
    )


PROGRAM = Program(
    id="SO-45378493",
    source="StackOverflow 45378493",
    build=build,
    splits=splits,
    task="binary",
    causes=("SET004",),
)
