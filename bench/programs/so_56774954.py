"""StackOverflow 56774954 (also in deepmufl): three values at once, a bad fit.

10-100-80 with sigmoids and a softmax over three outputs under Poisson's loss, Adam at 0.001, 30 epochs,
scikit-learn's regression problem. Mended by linear outputs and squared error; the targets must be scaled, too.
Here: 600 rows, ten times the rate.
"""

from torch import Tensor, nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, made_regression, standardised_targets
from bench.programs.pieces import dense
from unstuck import Setup


def poisson(outputs: Tensor, targets: Tensor) -> Tensor:
    """As Keras has it, of outputs that are rates."""
    return (outputs - targets * (outputs + 1e-7).log()).mean()


def splits(repaired: Repaired) -> Splits:
    rows = made_regression(600, 400, 10, 3, seed=471)
    return standardised_targets(rows) if "DAT002" in repaired else rows


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    last = nn.Identity if "SET004" in repaired else lambda: nn.Softmax(dim=1)
    return Setup.of(
        model=lambda: dense(10, 100, 80, 3, between=nn.Sigmoid, last=last()),
        loss=nn.MSELoss() if "SET005" in repaired else poisson,
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.01),
        train=train,
        validation=heldout,
        epochs=30,
        batch_size=32,
    )


PROGRAM = Program(
    id="SO-56774954",
    source="StackOverflow 56774954",
    build=build,
    splits=splits,
    task="regression",
    causes=("SET004", "SET005", "DAT002"),
)
