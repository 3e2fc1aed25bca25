"""StackOverflow 59278771 (also in DeepLocalize and DeepFD): iris, accuracy 0.35.

4-4-3 with ReLU and sigmoids at the end under Keras' cross-entropy, weights from N(0, 0.05), Adam at 0.001,
batches of 5, raw measurements. 200 epochs were asked for by a keyword that the library no longer knew: one
was run. Answers: honour the epochs, scale, 16 to 32 hidden units, softmax. Here: iris itself, and 100 epochs
once repaired.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, iris, standardised
from bench.programs.pieces import keras_normal, normalised_cross_entropy, started
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return standardised(iris()) if "DAT001" in repaired else iris()


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    hidden = 16 if "CAP001" in repaired else 4

    def network() -> nn.Module:
        net = nn.Sequential(nn.Linear(4, hidden), nn.ReLU(), nn.Linear(hidden, 3), nn.Sigmoid())
        return started(net, nn.init.xavier_uniform_ if "OPT010" in repaired else keras_normal)

    return Setup.of(
        model=network,
        loss=normalised_cross_entropy,
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.001),
        train=train,
        validation=heldout,
        epochs=100 if "OPT017" in repaired else 1,
        batch_size=5,
    )


PROGRAM = Program(
    id="SO-59278771",
    source="StackOverflow 59278771",
    build=build,
    splits=splits,
    task="classes",
    causes=("DAT001", "OPT010", "OPT017", "CAP001"),
)
