"""What `unstuck run` costs a script while it observes: `python -m bench.observing`.

One network is trained with the observer's hooks and without, in turns of a few steps in an order drawn anew, so that
neither other work on the machine nor where the weights lie in memory counts for one of them; `again` is the plain loop
a second time: what chance makes. What the first steps cost, which are looked at closely, is paid once a script and
measured by itself; the last column is the share of a script that trains for a minute. Processor time decides, wall time
is beside in brackets; one thread.
"""

import argparse
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: one thread a process

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.nn.modules import module as hooked
from torch.optim import optimizer as stepped
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.dataloader import _BaseDataLoaderIter

from bench.page import COST, put, rows
from unstuck.capture.observer import Observer

COMMAND = "python -m bench.observing"
HEADS = ("network", "plain, ms a step", "observed", "again", "first steps, s more", "share of a minute")

FIRST = 8
"""Steps at the start that are timed apart."""

TURN = 4
"""Steps of a turn: one epoch."""

MOST = 0.03
"""Share of the script's time that observing may take."""

HOOKS: tuple[dict[int, Any], ...] = (
    hooked._global_forward_pre_hooks,
    hooked._global_forward_hooks,
    hooked._global_forward_hooks_always_called,
    hooked._global_forward_hooks_with_kwargs,
    stepped._global_optimizer_pre_hooks,
    stepped._global_optimizer_post_hooks,
)
WRAPPED: tuple[tuple[Any, str], ...] = (
    (torch.autograd, "backward"),
    (DataLoader, "__iter__"),
    (_BaseDataLoaderIter, "__next__"),
)
PLAIN = [getattr(owner, name) for owner, name in WRAPPED]

Seconds = tuple[float, float]
"""Of the processor, and by the wall."""


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


class Script:
    """A plain loop, as a script has it."""

    def __init__(self, make: Callable[[], tuple[nn.Module, torch.Tensor]]) -> None:
        torch.manual_seed(0)
        self.model, inputs = make()
        data = TensorDataset(inputs.repeat(TURN, *[1] * (inputs.dim() - 1)), torch.randint(10, (TURN * len(inputs),)))
        self.loader = DataLoader(data, batch_size=len(inputs), shuffle=True)
        self.optimizer, self.criterion = torch.optim.Adam(self.model.parameters()), nn.CrossEntropyLoss()

    def epochs(self, count: int) -> Seconds:
        """Train for some epochs of `TURN` steps; what it took."""
        processor, wall = time.thread_time(), time.perf_counter()
        for _ in range(count):
            for batch, targets in self.loader:
                self.optimizer.zero_grad()
                self.criterion(self.model(batch), targets).backward()
                self.optimizer.step()
        return time.thread_time() - processor, time.perf_counter() - wall


@contextmanager
def aside() -> Iterator[None]:
    """Take everything away that an observer has put in place, and put it back."""
    held = [dict(each) for each in HOOKS]
    made = [getattr(owner, name) for owner, name in WRAPPED]
    for each in HOOKS:
        each.clear()
    for (owner, name), plain in zip(WRAPPED, PLAIN, strict=True):
        setattr(owner, name, plain)
    try:
        yield
    finally:
        for each, content in zip(HOOKS, held, strict=True):
            each.update(content)
        for (owner, name), wrapper in zip(WRAPPED, made, strict=True):
            setattr(owner, name, wrapper)


def first_steps(make: Callable[[], tuple[nn.Module, torch.Tensor]], rounds: int) -> Seconds:
    """Seconds that the first steps take longer under observation; medians."""
    more = []
    for _ in range(rounds):
        plain = Script(make).epochs(FIRST // TURN)
        script = Script(make)
        with Observer().watching():
            watched = script.epochs(FIRST // TURN)
        more.append((watched[0] - plain[0], watched[1] - plain[1]))
    processor, wall = np.median(more, axis=0)
    return float(processor), float(wall)


def later_steps(make: Callable[[], tuple[nn.Module, torch.Tensor]], steps: int) -> dict[str, np.ndarray[Any, Any]]:
    """Seconds a step of each loop, turn by turn: `[turns, 2]`, processor and wall."""
    draws = random.Random(0)
    script, found = Script(make), dict[str, list[Seconds]](plain=[], again=[], observed=[])
    with Observer().watching():
        script.epochs(FIRST // TURN)
        while len(found["plain"]) * TURN < steps:
            names = [*found]
            draws.shuffle(names)
            for name in names:
                if name == "observed":
                    found[name].append(script.epochs(1))
                else:
                    with aside():
                        found[name].append(script.epochs(1))
    return {name: np.asarray(rows) / TURN for name, rows in found.items()}


def share(own: np.ndarray[Any, Any], plain: np.ndarray[Any, Any]) -> tuple[float, float, float]:
    """Mean of paired differences over the usual step, and half of its 95 % interval; `[turns]`."""
    usual = np.median(plain)
    differences = np.clip((own - plain) / usual, -0.5, 0.5)  # what is further off is the machine
    mean = float(differences.mean())
    return mean, 1.96 * float(differences.std(ddof=1)) / len(differences) ** 0.5, float(usual)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300, help="of each loop, after the first (default: 300)")
    parser.add_argument("--rounds", type=int, default=5, help="trainings whose first steps are timed (default: 5)")
    parser.add_argument("--only", default="", help="networks whose names contain this")
    parser.add_argument("--write", action="store_true", help=f"put the table into {COST.name}")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines: list[tuple[str, ...]] = []
    missed = 0
    for name, make in (("MLP", perceptron), ("CNN", convolutional), ("transformer", attention)):
        if options.only not in name:
            continue
        Script(make).epochs(FIRST // TURN)
        first, loops = first_steps(make, options.rounds), later_steps(make, options.steps)
        cells, whole = [], []
        for loop in ("observed", "again"):
            own = [share(loops[loop][:, clock], loops["plain"][:, clock]) for clock in (0, 1)]
            cells.append(f"{own[0][0]:+.1%} ± {own[0][1]:.1%} [{own[1][0]:+.1%}]")
            if loop == "observed":
                whole = [mean + more / 60 for (mean, _, _), more in zip(own, first, strict=True)]
        usual = [1e3 * float(np.median(loops["plain"][:, clock])) for clock in (0, 1)]
        lines.append((name, f"{usual[0]:.2f} [{usual[1]:.2f}]", *cells, f"{first[0]:.2f} [{first[1]:.2f}]",
                      f"{whole[0]:+.1%} [{whole[1]:+.1%}]"))  # fmt: skip
        missed += whole[0] > MOST
    table = Table(*HEADS)
    for row in lines:
        table.add_row(*row)
    Console(width=120).print(table)
    if options.write:
        put(COST, COMMAND, rows(HEADS, lines))
    return int(missed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
