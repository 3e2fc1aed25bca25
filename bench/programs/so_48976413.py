"""StackOverflow 48976413: the price of used cars, the loss is constant and every prediction 1.

5-12-8-1 with ReLU and a sigmoid at the end, mean squared error, Adam at 0.001, batches of 50, 150 epochs, 963
cars with inputs scaled to 0 to 1 and prices from 620 to 27754 as they are. Answer: a linear output or a
scaled target. Here: 500 generated cars, prices falling with age and mileage. Repaired, prices are
standardised.
"""

from torch import nn, optim
from torch.utils.data import TensorDataset

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, normal, standardised_targets, uniform
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    cars = uniform(0, 1, 800, 5, seed=101)
    age, mileage, power = cars[:, :1], cars[:, 1:2], cars[:, 2:3]
    prices = 600 + 24_000 * (-1.5 * age - mileage).exp() * (0.5 + power) + 300 * normal(800, 1, seed=102)
    rows = divided(cars, prices, 500)
    return standardised_targets(rows) if "DAT002" in repaired else rows


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    last = nn.Identity if "SET004" in repaired else nn.Sigmoid
    return Setup.of(
        model=lambda: nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 1), last()),
        loss=nn.MSELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.001),
        train=TensorDataset(*train),
        validation=TensorDataset(*heldout),
        epochs=150,
        batch_size=50,
    )


PROGRAM = Program(
    id="SO-48976413",
    source="StackOverflow 48976413",
    build=build,
    splits=splits,
    task="regression",
    causes=("SET004", "DAT002"),
)
