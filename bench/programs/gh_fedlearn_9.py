"""GitHub shaoxiongji/federated-learning issue 9: the MLP stops at 90 %.

784-hidden-10 with dropout, ReLU and a softmax in front of CrossEntropyLoss, SGD at 0.01 with momentum 0.5,
batches of 10, MNIST. Without the softmax it reaches 95 %; confirmed by the maintainer. Here: digits, a
seventieth of the rows, 20 epochs at 0.05 to make up for part of that.
"""

from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

from bench.programs import Program, Repaired
from bench.programs.data import Splits, digits
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return digits(900)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)

    def network() -> nn.Module:
        layers = [nn.Linear(64, 64), nn.Dropout(), nn.ReLU(), nn.Linear(64, 10)]
        return nn.Sequential(*layers) if "SET002" in repaired else nn.Sequential(*layers, nn.Softmax(dim=1))

    return Setup.of(
        model=network,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda parameters: optim.SGD(parameters, lr=0.05, momentum=0.5),
        train=DataLoader(TensorDataset(*train), batch_size=10, shuffle=True),
        validation=DataLoader(TensorDataset(*heldout), batch_size=128),
        epochs=20,
    )


PROGRAM = Program(
    id="GH-fedlearn-9",
    source="GitHub shaoxiongji/federated-learning #9",
    build=build,
    splits=splits,
    task="classes",
    causes=("SET002",),
    full_facts=False,
)
