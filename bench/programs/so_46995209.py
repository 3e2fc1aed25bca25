"""StackOverflow 46995209 (also in Humbatova's taxonomy and DeepFD): a deep narrow net does not fit a sine.

1-10-90 with tanh, then nine layers of 10 with ReLU, then one output, mean squared error, 1000 points of
sin(x) with raw x. Answers: normalise, drop the nine narrow layers, wider ones. Optimizer and range are not in
the post: here Adam at 0.001 and x from 0 to 20.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, standardised, uniform
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    inputs = uniform(0, 20, 1300, 1, seed=5)
    rows = divided(inputs, inputs.sin(), 1000)
    return standardised(rows) if "DAT001" in repaired else rows


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    width = 64 if "CAP001" in repaired else 10
    narrow = 1 if "OPT006" in repaired else 9

    def network() -> nn.Module:
        layers: list[nn.Module] = [nn.Linear(1, width), nn.Tanh(), nn.Linear(width, 90), nn.Tanh()]
        for i in range(narrow):
            layers += [nn.Linear(width if i else 90, width), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(width, 1))

    return Setup.of(
        model=network,
        loss=nn.MSELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.001),
        train=train,
        validation=heldout,
        epochs=30,
        batch_size=32,
    )


PROGRAM = Program(
    id="SO-46995209",
    source="StackOverflow 46995209",
    build=build,
    splits=splits,
    task="regression",
    causes=("DAT001", "OPT006", "CAP001"),
    full_facts=False,
)
