"""fast.ai forum: Fahrenheit from Celsius, the slope is right, the bias stays near 0.

One weight and a bias, mean squared error, SGD at a tiny rate, all 2000 rows a batch, 5000 epochs, x from -500
to 500, y = 1.8x + 32; a larger rate diverges. Answer: scale x, and 1e-3 finds 31.99. Here: x from -50 to 50,
so that the missing bias shows in the explained variance; 300 epochs at 5e-4, which is as far below the
largest rate that x bears.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, standardised, uniform
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    celsius = uniform(-50, 50, 2500, 1, seed=141)
    rows = divided(celsius, 1.8 * celsius + 32, 2000)
    return standardised(rows) if "DAT001" in repaired else rows


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    rate = 0.01 if "OPT002" in repaired else 0.0005
    return Setup.of(
        model=lambda: nn.Linear(1, 1),
        loss=nn.MSELoss(),
        optimizer=lambda parameters: optim.SGD(parameters, lr=rate),
        train=train,
        validation=heldout,
        epochs=300,
        batch_size=2000,
    )


PROGRAM = Program(
    id="FASTAI-C2F",
    source="fast.ai forum, Celsius to Fahrenheit",
    build=build,
    splits=splits,
    task="regression",
    causes=("DAT001", "OPT002"),
)
