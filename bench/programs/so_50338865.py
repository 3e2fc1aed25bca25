"""StackOverflow 50338865 (also in deepmufl): XOR as a sequence, and every output is a half.

Two LSTMs of 10 units and two linear outputs, mean absolute error on one-hot labels, Adam at 0.001, all four rows a
batch, 50 epochs. Answers: softmax and cross-entropy, more epochs: here 300. The repaired rate is 0.02.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, on_inputs, on_targets, one_hot_targets, xor
from bench.programs.pieces import LastStep
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    rows = on_targets(on_inputs(xor(), lambda x: x.unsqueeze(2)), lambda y: y.flatten().long())
    return rows if "SET005" in repaired else one_hot_targets(rows, 2)


def build(repaired: Repaired) -> Setup:
    return Setup.of(
        model=lambda: nn.Sequential(LastStep(nn.LSTM(1, 10, num_layers=2, batch_first=True)), nn.Linear(10, 2)),
        loss=nn.CrossEntropyLoss() if "SET005" in repaired else nn.L1Loss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.02 if "OPT002" in repaired else 0.001),
        train=splits(repaired).train,
        epochs=300 if "OPT017" in repaired else 50,
        batch_size=4,
    )


PROGRAM = Program(
    id="SO-50338865",
    source="StackOverflow 50338865",
    build=build,
    splits=splits,
    task="classes",
    causes=("SET005", "OPT002", "OPT017"),
)
