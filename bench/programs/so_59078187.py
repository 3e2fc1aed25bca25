"""StackOverflow 59078187 (also in deepmufl): a parabola, and the prediction is 0.1.

1-128 ReLU, dropout 0.2 and a softmax over ten outputs, all compared with the one target, squared error, Adam at
0.001, 5 epochs, y = x² on 0 to 10. Mended by a single linear output. Here: 2000 points, 20 epochs, and the points
held out are from the same range.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, uniform
from bench.programs.pieces import dense
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    x = uniform(0, 10, 2300, 1, seed=491)
    return divided(x, x**2, 2000)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    outputs = 1 if "SET001" in repaired else 10
    last = nn.Identity if "SET004" in repaired else lambda: nn.Softmax(dim=1)
    return Setup.of(
        model=lambda: dense(1, 128, outputs, dropout=0.2, last=last()),
        loss=nn.MSELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.001),
        train=train,
        validation=heldout,
        epochs=20,
        batch_size=32,
    )


PROGRAM = Program(
    id="SO-59078187",
    source="StackOverflow 59078187",
    build=build,
    splits=splits,
    task="regression",
    causes=("SET001", "SET004"),
)
