"""PyTorch forum 43814: ten classes, the loss stays at 2.30.

A ReLU net with a softmax in front of CrossEntropyLoss, Adam at too high a rate. Answers: no softmax, a
smaller rate. The sizes are not in the thread: here 64-128-64-10 on digits, Adam at 0.1.
"""

from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

from bench.programs import Program, Repaired
from bench.programs.data import Splits, digits
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return digits()


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    last = nn.Identity if "SET002" in repaired else lambda: nn.Softmax(dim=1)
    rate = 0.001 if "OPT001" in repaired else 0.1
    return Setup.of(
        model=lambda: nn.Sequential(
            nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10), last()
        ),
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=rate),
        train=DataLoader(TensorDataset(*train), batch_size=32, shuffle=True),
        validation=DataLoader(TensorDataset(*heldout), batch_size=200),
        epochs=15,
    )


PROGRAM = Program(
    id="PTF-43814",
    source="PyTorch forum 43814",
    build=build,
    splits=splits,
    task="classes",
    causes=("SET002", "OPT001"),
    full_facts=False,
)
