"""StackOverflow 45442843 (also in DeepLocalize and DeepFD): one feature, two classes, the loss never moves.

1-1-1 with a sigmoid and a softmax over the single output, mean absolute error, RMSprop at 0.001, batches of
200, 100 epochs, a feature from 15000 to 25000. Answers: normalise, and sigmoid with cross-entropy or squared
error. Here: the class is whether the feature is above 20000.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, standardised, uniform
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    inputs = uniform(15_000, 25_000, 1400, 1, seed=4)
    rows = divided(inputs, (inputs > 20_000).float(), 1000)
    return standardised(rows) if "DAT001" in repaired else rows


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    last = nn.Sigmoid if "SET004" in repaired else lambda: nn.Softmax(dim=1)
    return Setup.of(
        model=lambda: nn.Sequential(nn.Linear(1, 1), nn.Sigmoid(), nn.Linear(1, 1), last()),
        loss=nn.BCELoss() if "SET005" in repaired else nn.L1Loss(),
        optimizer=lambda parameters: optim.RMSprop(parameters, lr=0.03 if "OPT002" in repaired else 0.001),
        train=train,
        validation=heldout,
        epochs=100,
        batch_size=200,
    )


PROGRAM = Program(
    id="SO-45442843",
    source="StackOverflow 45442843",
    build=build,
    splits=splits,
    task="binary",
    causes=("SET004", "SET005", "DAT001", "OPT002"),
)
