"""GitHub HHTseng/video-classification issue 42: the order of the frames is of no use.

An LSTM without `batch_first` is fed `[N, T, C]`, and so reads across the samples of a batch. Mended by putting the
axes where they belong. Here: generated sequences that hold one of two motifs, 24 units, Adam at 0.005.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, motifs
from bench.programs.pieces import LastStep
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return motifs(500, 300, 8, 4, seed=621)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    fits = "SET011" in repaired
    return Setup.of(
        model=lambda: nn.Sequential(LastStep(nn.LSTM(4, 24, batch_first=fits)), nn.Linear(24, 2)),
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.005),
        train=train,
        validation=heldout,
        epochs=15,
        batch_size=20,
    )


PROGRAM = Program(
    id="GH-HHTseng-42",
    source="GitHub HHTseng/video-classification #42",
    build=build,
    splits=splits,
    task="classes",
    causes=("SET011",),
    full_facts=False,
)
