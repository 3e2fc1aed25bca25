"""Is the split of the gap the true one? `python -m bench.gaps` writes docs/gaps.md.

Data from known distributions: the networks are trained from many more seeds and judged on 5,000 fresh samples of each
distribution, which gives each step of the gap almost exactly. Beside it, how well the noise floor is estimated.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

import unstuck
from bench.page import DOCS, put
from unstuck import Setup
from unstuck.examine import Examination
from unstuck.measure.gap_split import GapSplit, Step, split_of
from unstuck.measure.noise_floor import NoiseFloor
from unstuck.measure.preparation import HELD_OUT_SHARE, Allowance
from unstuck.measure.protocol import Unmeasured
from unstuck.measure.task import Task
from unstuck.setup import StackedData
from unstuck.stats import wilson_interval

PAGE = DOCS / "gaps.md"
COMMAND = "python -m bench.gaps"
HEAD = (
    "| set-ups, and steps | steps | true step of the loss inside | true step of the error inside |\n|---|---|---|---|"
)
FLOORS = "| noise floor | set-ups | estimate | truth inside its interval |\n|---|---|---|---|"
FRESH = 5_000
TRUE_SEEDS = 6
FEATURES = 4


@dataclass(frozen=True)
class Kind:
    """A kind of gap."""

    name: str
    rows: int
    epochs: int
    classes: bool
    wrong: float
    moved: float
    validation_moved: float = 0.0


KINDS = (
    Kind("classes, no shift", 200, 8, True, 0.1, 0.0),
    Kind("classes, learnt by heart", 80, 40, True, 0.2, 0.0),
    Kind("classes, test shifted", 200, 8, True, 0.1, 1.0),
    Kind("classes, validation and test shifted", 200, 8, True, 0.1, 1.0, 0.7),
    Kind("numbers, no shift", 200, 8, False, 0.5, 0.0),
    Kind("numbers, learnt by heart", 80, 40, False, 0.8, 0.0),
    Kind("numbers, test shifted", 200, 8, False, 0.5, 1.0),
)


def drawn(kind: Kind, count: int, moved: float, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    inputs = torch.randn(count, FEATURES, generator=draws) + moved
    score = inputs[:, 0] - inputs[:, 1] * inputs[:, 2]
    if not kind.classes:
        return inputs, (score + kind.wrong * torch.randn(count, generator=draws)).unsqueeze(1)
    flipped = torch.rand(count, generator=draws) < kind.wrong
    return inputs, ((score > 0) ^ flipped).long()


def net(outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, 16), nn.ReLU(), nn.Linear(16, outputs))


def patient(kind: Kind, seed: int) -> Setup:
    draws = torch.Generator().manual_seed(seed)
    return Setup.of(
        model=partial(net, 2 if kind.classes else 1),
        loss=nn.CrossEntropyLoss() if kind.classes else nn.MSELoss(),
        optimizer=partial(torch.optim.Adam, lr=0.02),
        train=drawn(kind, kind.rows, 0.0, draws),
        validation=drawn(kind, 80, kind.validation_moved, draws),
        test=drawn(kind, 80, kind.moved, draws),
        epochs=kind.epochs,
        batch_size=20,
        seed=seed,
    )


def truth(kind: Kind, setup: Setup) -> tuple[Step, ...]:
    """The steps of the same training samples, over many seeds and fresh samples."""
    train, _ = setup.train.split(HELD_OUT_SHARE, setup.seed)
    draws = torch.Generator().manual_seed(setup.seed + 10**6)
    fresh = [
        (name, StackedData(drawn(kind, FRESH, moved, draws), 1000))
        for name, moved in (
            ("held-out part of training", 0.0),
            ("validation", kind.validation_moved),
            ("test", kind.moved),
        )
    ]
    own = replace(setup, train=train)
    runs = [unstuck.fit(own, seed=setup.seed + 1000 + number, validate=False) for number in range(TRUE_SEEDS)]
    splits = [("training", train), *fresh]
    looked = [(name, data) for name, data in splits]
    return split_of(own, Task.measure(own), runs, looked).steps


@dataclass
class Tally:
    """How often the truth lay inside."""

    steps: int = 0
    loss: int = 0
    error: int = 0

    def add(self, step: Step, true: Step) -> None:
        own, other = step.loss.interval, step.error.interval
        assert own is not None and other is not None
        self.steps += 1
        self.loss += true.loss.value in own
        self.error += true.error.value in other

    def row(self, name: str) -> str:
        cells = []
        for held in (self.loss, self.error):
            rate = wilson_interval(held, self.steps)
            cells.append(f"{held / self.steps:.3f} [{rate.low:.2f}, {rate.high:.2f}]")
        return f"| {name} | {self.steps} | {cells[0]} | {cells[1]} |"


def intervals(cases: int) -> Iterator[list[str]]:
    """The rows so far, after each kind."""
    by_kind, by_step, whole = list[str](), dict[str, Tally](), Tally()
    for number, kind in enumerate(KINDS):
        tally = Tally()
        for case in range(cases):
            setup = patient(kind, 100 * number + case)
            examination = Examination(setup)
            examination.put(Allowance(1e6))
            found = examination.get(GapSplit)
            assert not isinstance(found, Unmeasured), found
            for step, true in zip(found.steps, truth(kind, setup), strict=True):
                for each in (tally, by_step.setdefault(f"{step.lower} → {step.upper}", Tally()), whole):
                    each.add(step, true)
        by_kind.append(tally.row(kind.name))
        print(by_kind[-1], flush=True)
        yield [*by_kind, *(tally.row(name) for name, tally in by_step.items()), whole.row("**all**")]


def blobs(seed: int) -> Setup:
    """Two normal classes, 2.0729 deviations apart: no one can be wrong less often than in 15 % (Φ(−1.0364))."""
    draws = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (900,), generator=draws)
    inputs = torch.randn(900, FEATURES, generator=draws)
    inputs[:, 0] += 2.0729 * labels
    return Setup.of(
        model=partial(net, 2), loss=nn.CrossEntropyLoss(), optimizer=partial(torch.optim.Adam, lr=0.01),
        train=(inputs[:600], labels[:600]), validation=(inputs[600:], labels[600:]), epochs=10, seed=seed,
    )  # fmt: skip


def floors(cases: int) -> list[str]:
    from examples import diabetes

    rows, held, values = list[str](), 0, list[float]()
    for seed in range(cases):
        found = Examination(blobs(seed)).get(NoiseFloor)
        assert not isinstance(found, Unmeasured), found
        held += found.low <= 0.15 <= found.high
        values.append(found.value)
    spread = f"{np.mean(values):.3f} (from {min(values):.3f} to {max(values):.3f})"
    rows.append(f"| two normal classes, Bayes error 0.150 | {cases} | {spread} | {held} of {cases} |")
    found = Examination(diabetes.setup()).get(NoiseFloor)
    assert not isinstance(found, Unmeasured), found
    within = f"[{found.low:.3f}, {found.high:.3f}]"
    known = "yes" if found.low <= 0.5 <= found.high else "no"
    rows.append(f"| diabetes, 1 − R² about 0.5 | 1 | {found.value:.3f} {within} | {known} |")
    for row in rows:
        print(row, flush=True)
    return rows


def write(steps: Sequence[str], floors: Sequence[str]) -> None:
    """Put both tables into the page, as far as they are measured."""
    put(PAGE, COMMAND, [*([HEAD, *steps, ""] if steps else []), FLOORS, *floors])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--cases", type=int, default=30, help="set-ups of each kind")
    parser.add_argument("--floors", type=int, default=10, help="set-ups with a known noise floor")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    start = time.process_time()
    rows = floors(options.floors)
    write((), rows)
    for steps in intervals(options.cases):
        write(steps, rows)
    print(f"{time.process_time() - start:.0f} s of the processor", file=sys.stderr)


if __name__ == "__main__":
    main()
