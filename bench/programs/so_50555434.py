"""StackOverflow 50555434 (also in deepmufl): six proportions that do not add up to 1.

28-20-15-6 with ReLU and six sigmoids behind the last six, normal start, mean absolute error, Adam at 0.001,
batches of 32, 2000 epochs, 1000 rows. Answer: a softmax; wider hidden layers. Here: generated proportions of
which one mostly dominates, 30 epochs at 0.005.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, normal
from bench.programs.pieces import dense, keras_normal, started
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    inputs = normal(1400, 28, seed=321)
    return divided(inputs, (inputs @ normal(28, 6, seed=322) / 2).softmax(1), 1000)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    narrow = 30 if "CAP002" in repaired else 6

    def network() -> nn.Module:
        last = nn.Softmax(dim=1) if "SET004" in repaired else nn.Sigmoid()
        return started(dense(28, 20, 15, narrow, 6, last=last), keras_normal)

    return Setup.of(
        model=network,
        loss=nn.L1Loss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.005),
        train=train,
        validation=heldout,
        epochs=30,
        batch_size=32,
    )


PROGRAM = Program(
    id="SO-50555434",
    source="StackOverflow 50555434",
    build=build,
    splits=splits,
    task="regression",
    causes=("SET004", "CAP002"),
)
