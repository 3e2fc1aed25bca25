"""GitHub pytorch/pytorch issue 715: only the head trains.

Hidden layers kept in a plain Python list, so that no parameter of theirs is the model's. Mended by `ModuleList`.
Here: four hidden layers of 24 with ReLU on digits, Adam at 0.003.
"""

from torch import Tensor, nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, digits
from unstuck import Setup


class Stack(nn.Module):
    def __init__(self, registered: bool) -> None:
        super().__init__()
        hidden = [nn.Linear(64 if i == 0 else 24, 24) for i in range(4)]
        self.hidden = nn.ModuleList(hidden) if registered else hidden
        self.head = nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.hidden:
            x = layer(x).relu()
        scores: Tensor = self.head(x)
        return scores


def splits(repaired: Repaired) -> Splits:
    return digits()


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    return Setup.of(
        model=lambda: Stack(registered="SET007" in repaired),
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.003),
        train=train,
        validation=heldout,
        epochs=20,
        batch_size=32,
    )


PROGRAM = Program(
    id="GH-pytorch-715",
    source="GitHub pytorch/pytorch #715",
    build=build,
    splits=splits,
    task="classes",
    causes=("SET007",),
    full_facts=False,
)
