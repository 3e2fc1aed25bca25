"""StackOverflow 39939881 (IPS-5 of Zhang et al., ISSTA 2018): a line through eight points diverges.

One weight and a bias, squared error, SGD at 0.1, all eight points a batch, 100 epochs, x from -8 to 8. Answers:
Adam at 0.1, or a lower rate. Scaling x serves as well. The repaired rate is 0.02. Here: y = 2x + 1 with a little
noise; points in between are held out.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, normal, standardised, uniform
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    x = uniform(-8, 8, 50, 1, seed=311)
    rows = divided(x, 2 * x + 1 + 0.5 * normal(50, 1, seed=312), 8)
    return standardised(rows) if "DAT001" in repaired else rows


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    return Setup.of(
        model=lambda: nn.Linear(1, 1),
        loss=nn.MSELoss(),
        optimizer=lambda parameters: optim.SGD(parameters, lr=0.02 if "OPT001" in repaired else 0.1),
        train=train,
        validation=heldout,
        epochs=100,
        batch_size=8,
    )


PROGRAM = Program(
    id="SO-39939881",
    source="StackOverflow 39939881",
    build=build,
    splits=splits,
    task="regression",
    causes=("DAT001", "OPT001"),
)
