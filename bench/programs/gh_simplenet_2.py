"""GitHub Coderx7/SimpleNet_Pytorch issue 2: the answers differ from run to run, also in evaluation.

`F.dropout` with `training=True` written in. Mended by `training=self.training`. Here: 64-32-32-10 with ReLU and
dropout 0.5 on digits, Adam at 0.005.
"""

from torch import Tensor, nn, optim
from torch.nn.functional import dropout

from bench.programs import Program, Repaired
from bench.programs.data import Splits, digits
from unstuck import Setup


class Net(nn.Module):
    def __init__(self, heeds_mode: bool) -> None:
        super().__init__()
        self.heeds_mode = heeds_mode
        self.first, self.second, self.head = nn.Linear(64, 32), nn.Linear(32, 32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        drops = self.training or not self.heeds_mode
        x = dropout(self.first(x).relu(), 0.5, training=drops)
        x = dropout(self.second(x).relu(), 0.5, training=drops)
        scores: Tensor = self.head(x)
        return scores


def splits(repaired: Repaired) -> Splits:
    return digits()


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    return Setup.of(
        model=lambda: Net(heeds_mode="SET010" in repaired),
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.005),
        train=train,
        validation=heldout,
        epochs=30,
        batch_size=32,
    )


PROGRAM = Program(
    id="GH-SimpleNet-2",
    source="GitHub Coderx7/SimpleNet_Pytorch #2",
    build=build,
    splits=splits,
    task="classes",
    causes=("SET010",),
    full_facts=False,
)
