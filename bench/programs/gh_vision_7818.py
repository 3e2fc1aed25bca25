"""GitHub pytorch/vision issue 7818: one class at a time, and training leaves its minimum.

A `DataLoader` without shuffling over samples sorted by class, SGD, batches of 196. Mended by `shuffle=True`. Here:
digits sorted by class, 64-64-10 with ReLU, batches of 50, at 0.1.
"""

from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

from bench.programs import Program, Repaired
from bench.programs.data import Splits, digits
from bench.programs.pieces import dense
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    (inputs, labels), heldout = digits()
    order = labels.argsort()
    return Splits((inputs[order], labels[order]), heldout)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    return Setup.of(
        model=lambda: dense(64, 64, 10),
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda parameters: optim.SGD(parameters, lr=0.1, momentum=0.9),
        train=DataLoader(TensorDataset(*train), batch_size=50, shuffle="SET019" in repaired),
        validation=DataLoader(TensorDataset(*heldout), batch_size=200),
        epochs=15,
    )


PROGRAM = Program(
    id="GH-vision-7818",
    source="GitHub pytorch/vision #7818",
    build=build,
    splits=splits,
    task="classes",
    causes=("SET019",),
    full_facts=False,
)
