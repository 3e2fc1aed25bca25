"""StackOverflow 49583466: a net of sigmoids predicts the mean of a sine.

1-20-20-20-1 with sigmoids and a uniform start, mean squared error, SGD at 0.01, batches of 32, 2 epochs, 5000
points of a sine on [-10, 10], both sides scaled to 0 to 1. Answers: tanh or ReLU, Adam, more epochs. Here:
1600 points, 6 epochs (as many steps). Repaired: ReLU, Adam, 40 epochs, PyTorch's own start, standardised x.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, standardised, uniform
from bench.programs.pieces import keras_uniform, started
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    inputs = uniform(0, 1, 2000, 1, seed=111)
    rows = divided(inputs, ((20 * inputs - 10).sin() + 1) / 2, 1600)
    return standardised(rows) if "DAT001" in repaired else rows


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    between = nn.ReLU if "OPT006" in repaired else nn.Sigmoid

    def network() -> nn.Module:
        net = nn.Sequential(
            nn.Linear(1, 20),
            between(),
            nn.Linear(20, 20),
            between(),
            nn.Linear(20, 20),
            between(),
            nn.Linear(20, 1),
        )
        return net if "OPT010" in repaired else started(net, keras_uniform)

    return Setup.of(
        model=network,
        loss=nn.MSELoss(),
        optimizer=lambda parameters: (
            optim.Adam(parameters, lr=0.01) if "OPT002" in repaired else optim.SGD(parameters, lr=0.01)
        ),
        train=train,
        validation=heldout,
        epochs=40 if "OPT017" in repaired else 6,
        batch_size=32,
    )


PROGRAM = Program(
    id="SO-49583466",
    source="StackOverflow 49583466",
    build=build,
    splits=splits,
    task="regression",
    causes=("DAT001", "OPT002", "OPT006", "OPT010", "OPT017"),
)
