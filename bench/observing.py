"""What `unstuck run` costs a script while it observes: `python -m bench.observing`.

The same training loops run with and without an observer, in turns within each round, on one thread; their processor
time is taken, so that other work on the machine does not count. Medians over the rounds. What the first steps cost,
which are looked at closely, is a column of its own: it is paid once a script; the last column is the share of a script
that trains for a minute.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: one thread a process

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from unstuck.capture.observer import Observer

FIRST = 8
"""Steps at the start that are timed apart."""

MOST = 0.03
"""Share of the script's time that observing may take."""


def perceptron() -> tuple[nn.Module, torch.Tensor]:
    model = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))
    return model, torch.randn(128, 784)


def convolutional() -> tuple[nn.Module, torch.Tensor]:
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(512, 10),
    )
    return model, torch.randn(64, 3, 32, 32)


def attention() -> tuple[nn.Module, torch.Tensor]:
    layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
    model = nn.Sequential(nn.TransformerEncoder(layer, 4), nn.Flatten(), nn.Linear(32 * 64, 10))
    return model, torch.randn(16, 32, 64)


def train(make: Callable[[], tuple[nn.Module, torch.Tensor]], steps: int) -> tuple[float, float]:
    """Processor seconds of the first steps of a plain loop, and of the others."""
    torch.manual_seed(0)
    model, inputs = make()
    data = TensorDataset(inputs.repeat(4, *[1] * (inputs.dim() - 1)), torch.randint(10, (4 * len(inputs),)))
    loader = DataLoader(data, batch_size=len(inputs), shuffle=True)
    optimizer, criterion = torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss()
    start, middle, done = time.process_time(), 0.0, 0
    while done < steps:
        for batch, targets in loader:
            optimizer.zero_grad()
            criterion(model(batch), targets).backward()
            optimizer.step()
            done += 1
            middle = time.process_time() if done == FIRST else middle
    return middle - start, time.process_time() - middle


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    table = Table("network", "plain, ms a step", "observed", "share", "first steps, s more", "share of a minute")
    missed = 0
    for name, make in (("MLP", perceptron), ("CNN", convolutional), ("transformer", attention)):
        train(make, FIRST + 1)
        plain, observed = [], []
        for _ in range(options.rounds):
            plain.append(train(make, options.steps))
            with Observer().watching():
                observed.append(train(make, options.steps))
        pairs = list(zip(plain, observed, strict=True))
        share = statistics.median(after[1] / before[1] - 1 for before, after in pairs)
        first = statistics.median(after[0] - before[0] for before, after in pairs)
        rest = 1e3 / (options.steps - FIRST)
        per_step = [rest * statistics.median(each[1] for each in runs) for runs in (plain, observed)]
        whole = share + first / 60
        table.add_row(name, *(f"{each:.2f}" for each in per_step), f"{share:+.1%}", f"{first:.2f}", f"{whole:+.1%}")
        missed += whole > MOST
    Console().print(table)
    return int(missed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
