"""StackOverflow 33969059 (also in DeepLocalize and DeepFD): a linear function is not learned.

3-3-2-1 with tanh and dropout 0.5 behind the hidden layers and a softmax over the single output, uniform
start, mean squared error, SGD at 0.1 with Nesterov momentum 0.9, batches of 32, 20 epochs; y = 2a + b + 0.5c
+ 2.2 with inputs from 0 to 10000, nothing scaled. A linear output does not cure alone; with inputs and
targets scaled it does.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, standardised, standardised_targets, uniform
from bench.programs.pieces import keras_uniform, started
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    inputs = uniform(0, 10_000, 1300, 3, seed=3)
    targets = (2 * inputs[:, 0] + inputs[:, 1] + 0.5 * inputs[:, 2] + 2.2).unsqueeze(1)
    rows = divided(inputs, targets, 1000)
    rows = standardised(rows) if "DAT001" in repaired else rows
    return standardised_targets(rows) if "DAT002" in repaired else rows


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    first, second = (16, 16) if "CAP001" in repaired else (3, 2)
    chance = 0.0 if "CAP003" in repaired else 0.5

    def network() -> nn.Module:
        net = nn.Sequential(
            nn.Linear(3, first),
            nn.Tanh(),
            nn.Dropout(chance),
            nn.Linear(first, second),
            nn.Tanh(),
            nn.Dropout(chance),
            nn.Linear(second, 1),
            nn.Identity() if "SET004" in repaired else nn.Softmax(dim=1),
        )
        return started(net, keras_uniform)

    return Setup.of(
        model=network,
        loss=nn.MSELoss(),
        optimizer=lambda parameters: optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True),
        train=train,
        validation=heldout,
        epochs=20,
        batch_size=32,
    )


PROGRAM = Program(
    id="SO-33969059",
    source="StackOverflow 33969059",
    build=build,
    splits=splits,
    task="regression",
    causes=("SET004", "DAT001", "DAT002", "CAP001", "CAP003"),
)
