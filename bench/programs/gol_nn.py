"""GitHub alexander-travov/gol_nn at d9b30a0 (in DeepLocalize): the next state of Conway's Life, mostly wrong.

A 3 × 3 convolution of 10, then 1 × 1 of 20 and of 1 with ReLU and a sigmoid, binary cross-entropy, Adam at
0.001, batches of 32, 5 epochs of 18000 random boards. The commit that mends it trains 10 epochs at 0.01.
Here: 640 boards of 8 × 8; 40 epochs where more of them are the repair.
"""

from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, life
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return divided(*life(840, 8, seed=71), 640)


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 10, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(10, 20, 1),
        nn.ReLU(),
        nn.Conv2d(20, 1, 1),
        nn.Sigmoid(),
    )


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    rate = 0.01 if "OPT002" in repaired else 0.001
    return Setup.of(
        model=network,
        loss=nn.BCELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=rate),
        train=DataLoader(TensorDataset(*train), batch_size=32, shuffle=True),
        validation=DataLoader(TensorDataset(*heldout), batch_size=100),
        epochs=40 if "OPT017" in repaired else 5,
    )


PROGRAM = Program(
    id="gol_nn",
    source="GitHub alexander-travov/gol_nn d9b30a0",
    build=build,
    splits=splits,
    task="binary",
    causes=("OPT002", "OPT017"),
)
