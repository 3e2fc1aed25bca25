"""StackOverflow 31627380 (also in DeepLocalize and DeepFD): eight raw features, a constant loss.

8-512-1 with ReLU, dropout 0.5 and a softmax over the single output under categorical cross-entropy, Adam at
0.001, batches of 4, 10 epochs, the Titanic's passengers. Answers: sigmoid and binary cross-entropy, scaled
inputs. Here: eight features of the breast cancer data, 64 hidden units.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, breast_cancer, standardised
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    rows = breast_cancer(240, features=8)
    return standardised(rows) if "DAT001" in repaired else rows


def build(repaired: Repaired) -> Setup:
    last = nn.Sigmoid if "SET004" in repaired else lambda: nn.Softmax(dim=1)
    return Setup.of(
        model=lambda: nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 1), last()),
        loss=nn.BCELoss() if "SET005" in repaired else nn.CrossEntropyLoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.001),
        train=splits(repaired).train,
        epochs=10,
        batch_size=4,
    )


PROGRAM = Program(
    id="SO-31627380",
    source="StackOverflow 31627380",
    build=build,
    splits=splits,
    task="binary",
    causes=("SET004", "SET005", "DAT001"),
)
